# Runs once, in an empty PostgreSQL, after roles.sql: the roles get their passwords.
psql --set ON_ERROR_STOP=1 --set owner="$POSTGRES_OWNER_PASSWORD" --set service="$POSTGRES_SERVICE_PASSWORD" --dbname "$POSTGRES_DB" <<'SQL'
SELECT format('ALTER ROLE %I PASSWORD %L', role, word) FROM (VALUES ('storefront_owner', :'owner'), ('storefront', :'service')) AS roles (role, word) \gexec
SQL
