"""HTTP for rooms: routes with types, problem documents, OpenAPI from the same types (J2)."""
