package main

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// The order of the house. A package may import what stands above it.
var (
	leaves  = []string{"clock", "errs", "id", "patch", "phone", "secret", "sheet", "sound"}
	ports   = []string{"db", "twilio", "blob", "notify", "speech"} // import leaves
	floor   = []string{"event", "audit", "inbox", "job"}           // import db and leaves
	domains = []string{"access", "tenant", "session", "user", "contact", "route", "number", "call", "recording", "voicemail",
		"transcript", "message", "followup", "automation", "delivery", "retention", "history", "report", "export", "gate", "diagnose"} // in import order
	edges   = []string{"webhook", "media", "console"}
	outside = []string{"emulator", "demo", "testkit"} // never imported by what serves
)

type pkg struct {
	ImportPath                string
	Imports                   []string
	TestImports, XTestImports []string
}

const module = "switchboard/"

func TestEveryPackageKeepsItsWalls(t *testing.T) {
	t.Parallel()
	for _, p := range packages(t) {
		name := strings.TrimPrefix(p.ImportPath, module)
		for _, imported := range p.Imports {
			if ours, ok := strings.CutPrefix(imported, module); ok {
				if why := wall(name, ours); why != "" {
					t.Errorf("%s imports %s: %s", name, ours, why)
				}
			}
			if why := vendorWall(name, imported); why != "" {
				t.Errorf("%s imports %s: %s", name, imported, why)
			}
		}
		// Test helpers and in-package tests.
		for _, imported := range p.TestImports {
			if imported == module+"internal/testkit" {
				t.Errorf("%s: an in-package test imports testkit; tests of behaviour stand in package %s_test", name, name[strings.LastIndex(name, "/")+1:])
			}
		}
	}
}

// wall says why from may not import to; "" when it may.
func wall(from, to string) string {
	f, isInternal := strings.CutPrefix(from, "internal/")
	f, _, _ = strings.Cut(f, "/") // a package below another lives by the same rules
	to, _, _ = strings.Cut(strings.TrimPrefix(to, "internal/"), "/")
	in := func(list []string, name string) bool { return slices.Contains(list, name) }
	switch {
	case from == "switchboard" || !isInternal && !strings.HasPrefix(from, "graph"):
		return "" // main, migrations, docs
	case f == to:
		return ""
	case in(outside, to) && !in(outside, f) && f != "app":
		return "nothing that serves imports what stands beside"
	case strings.HasPrefix(from, "graph"):
		if in(edges, to) || in(ports, to) && to != "db" {
			return "the GraphQL edge imports domains, never other edges or ports"
		}
		return ""
	case in(leaves, f):
		return "leaves import no package of ours"
	case in(ports, f):
		if in(leaves, to) || f == "db" && to == "migrations" {
			return ""
		}
		return "ports import leaves only"
	case in(floor, f):
		if in(leaves, to) || to == "db" {
			return ""
		}
		return "the floor imports db and leaves only"
	case f == "route":
		if in(leaves, to) {
			return ""
		}
		return "route is pure: leaves only"
	case in(domains, f):
		if in(leaves, to) || in(ports, to) || in(floor, to) || slices.Index(domains, to) >= 0 && slices.Index(domains, to) < slices.Index(domains, f) {
			return ""
		}
		return "a domain imports the floor and the domains before it"
	case in(edges, f):
		if in(edges, to) || strings.HasPrefix(to, "graph") {
			return "edges never import each other"
		}
		return ""
	case f == "config":
		return "config imports nothing of ours"
	case f == "emulator":
		if in(leaves, to) {
			return ""
		}
		return "the emulator is Twilio as documented: it knows no port and no domain"
	case f == "demo":
		if in(leaves, to) || to == "emulator" {
			return ""
		}
		return "the demo speaks GraphQL and the emulator's control API only"
	}
	return ""
}

// vendorWall keeps vendors where they belong.
func vendorWall(from, imported string) string {
	switch {
	case strings.HasPrefix(imported, "github.com/twilio/twilio-go") && from != "internal/twilio":
		return "only internal/twilio knows twilio-go"
	case strings.HasPrefix(imported, "github.com/uptrace/bun") && (strings.HasPrefix(from, "graph") || from == "internal/webhook" || from == "internal/media" || from == "internal/console"):
		return "edges never see bun"
	case strings.HasPrefix(imported, "gocloud.dev") && from != "internal/blob":
		return "only internal/blob knows gocloud"
	case strings.HasPrefix(imported, "github.com/tink-crypto") && from != "internal/secret":
		return "only internal/secret knows tink"
	case strings.HasPrefix(imported, "github.com/riverqueue") && from != "internal/job" && from != "internal/db":
		return "only internal/job and the migrations know River"
	case strings.HasPrefix(imported, "github.com/xuri/excelize") && from != "internal/sheet":
		return "only internal/sheet knows excelize"
	case (strings.HasPrefix(imported, "github.com/SherClockHolmes/webpush-go") || strings.HasPrefix(imported, "github.com/wneessen/go-mail")) && from != "internal/notify":
		return "only internal/notify knows how mail and pushes are sent"
	case imported == "testing" && !strings.HasPrefix(from, "internal/testkit"):
		return "production code imports testing"
	case (imported == "context" || imported == "net/http" || imported == "database/sql") && from == "internal/route":
		return "route is pure"
	}
	return ""
}

func packages(t *testing.T) []pkg {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports,TestImports,XTestImports", "./...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []pkg
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}
