"""The store on MongoDB: the one place where documents meet the database."""
