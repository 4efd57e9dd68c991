# Runs once, in an empty PostgreSQL, after roles.sql: the roles get their passwords.
psql --set ON_ERROR_STOP=1 --set owner="$POSTGRES_OWNER_PASSWORD" --set service="$POSTGRES_SERVICE_PASSWORD" --dbname "$POSTGRES_DB" <<'SQL'
ALTER ROLE "storefront_owner" PASSWORD :'owner';
ALTER ROLE "storefront" PASSWORD :'service';
SQL
