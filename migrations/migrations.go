// Package migrations holds the numbered SQL that makes the database, embedded in
// the binary. Package db runs it; nothing else reads it.
//
// A file is called NNNN_name.sql and runs once, in order, in one transaction.
// The words {{app}}, {{worker}} and {{owner}} stand for the quoted names of the
// three roles. Every table with a tenant ends with CALL tenant_table('name');
// a table without one lives in schema system and stands in the list of the
// tenancy test, with the reason.
package migrations

import "embed"

// Files are the migrations.
//
//go:embed *.sql
var Files embed.FS
