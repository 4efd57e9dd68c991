-- Two roles, made once by a superuser in the database of the service: one that owns the schema and migrates it, and one that the
-- service runs as, which can change rows and nothing else. Then give each a password: \password "storefront_owner"
CREATE ROLE "storefront_owner" LOGIN;
CREATE ROLE "storefront" LOGIN;

REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE, CREATE ON SCHEMA public TO "storefront_owner";
GRANT USAGE ON SCHEMA public TO "storefront";
ALTER DEFAULT PRIVILEGES FOR ROLE "storefront_owner" IN SCHEMA public GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO "storefront";

-- The net under the service's own timeouts: it holds even where the process that asked is gone.
ALTER ROLE "storefront" SET statement_timeout = '15s';
ALTER ROLE "storefront" SET lock_timeout = '5s';
ALTER ROLE "storefront" SET idle_in_transaction_session_timeout = '30s';
