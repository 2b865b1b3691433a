// Package graph is the GraphQL edge: it reads arguments, makes one call of a
// domain and wraps the answer. It decides nothing.
package graph

import (
	"bytes"
	"embed"
	"sort"
	"strings"

	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/formatter"
)

//go:embed schema/*.graphqls
var authored embed.FS

// Schema is the authored schema, parsed. It panics when the files do not parse:
// they are compiled into the binary, and a test reads them.
func Schema() *ast.Schema {
	files, err := authored.ReadDir("schema")
	if err != nil {
		panic(err)
	}
	var sources []*ast.Source
	for _, f := range files {
		text, err := authored.ReadFile("schema/" + f.Name())
		if err != nil {
			panic(err)
		}
		sources = append(sources, &ast.Source{Name: f.Name(), Input: string(text)})
	}
	return gqlparser.MustLoadSchema(sources...)
}

// Contract is the whole schema as a client may keep it: one text, with the
// permission of every field said in its description.
func Contract() string {
	schema := Schema()
	names := make([]string, 0, len(schema.Types))
	for name := range schema.Types {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		for _, f := range schema.Types[name].Fields {
			if d := f.Directives.ForName("can"); d != nil {
				f.Description = strings.TrimSpace(f.Description + " Requires the permission " + d.Arguments.ForName("do").Value.Raw + ".")
			}
			if f.Directives.ForName("public") != nil {
				f.Description = strings.TrimSpace(f.Description + " Needs no token.")
			}
		}
	}
	var b bytes.Buffer
	formatter.NewFormatter(&b, formatter.WithIndent("  ")).FormatSchema(schema)
	return b.String()
}
