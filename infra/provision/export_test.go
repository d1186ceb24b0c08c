package provision

import "context"

// Guide is the wrangler.toml of the integration guide, with an environment for production.
const Guide = `# The guide's file.
name = "infinite-kanvas-dev"   # the Worker
compatibility_date = "2024-12-01"

# R2 bucket binding
[[r2_buckets]]
binding = "KANVAS_IMAGES"
bucket_name = "kanvas-images"

[[d1_databases]]
binding = "OTHER"
database_name = "other"
database_id = "other-id"

# D1 database binding
[[d1_databases]]
binding = "KANVAS_DB"
database_name = 'kanvas-db'
database_id = "77bedc55-0190-40f9-ba57-a5fbb84d3dfd" # of this account

[[kv_namespaces]]
binding = "KANVAS_CACHE"
id = "ee2d9571c831496e912c66126eb38782"

[vars]
ENVIRONMENT = "development"

[[env.production.r2_buckets]]
binding = "KANVAS_IMAGES"
bucket_name = "kanvas-images-production"
[[env.production.d1_databases]]
binding = "KANVAS_DB" # ids come from kanvas provision
database_name = "kanvas-db-production"
[[env.production.kv_namespaces]]
binding = "KANVAS_CACHE"
[env.production.vars]
ENVIRONMENT = "production"
`

const guide = Guide

// Migrate applies the migrations to a database that is already there.
func (p *Provisioner) Migrate(ctx context.Context, databaseID string) error {
	p.databaseID = databaseID
	return p.migrate(ctx)
}
