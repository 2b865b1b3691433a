package docs_test

import (
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/validator/rules"

	"switchboard/graph/edge"
	"switchboard/internal/call"
	"switchboard/internal/config"
	"switchboard/internal/media"
)

var update = flag.Bool("update", false, "write the generated parts anew")

const root = ".."

// page is one Markdown file.
type page struct {
	path string // from the root, with slashes
	text string
}

// pages are the documents that people read, without what other people wrote.
func pages(t *testing.T) []page {
	t.Helper()
	var all []page
	walk(t, func(path string) {
		if strings.HasSuffix(path, ".md") {
			all = append(all, page{path, read(t, path)})
		}
	})
	if len(all) < 10 {
		t.Fatalf("found %d pages only", len(all))
	}
	return all
}

func walk(t *testing.T, visit func(path string)) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && slices.Contains([]string{"node_modules", ".git", "data", "testdata"}, d.Name()):
			return fs.SkipDir
		case d.IsDir():
			return nil
		}
		rel, err := filepath.Rel(root, path)
		visit(filepath.ToSlash(rel))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(path)))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func exists(path string) bool {
	_, err := os.Stat(filepath.Join(root, filepath.FromSlash(path)))
	return err == nil
}

var (
	link    = regexp.MustCompile(`\[([^\]]*)\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#+ +(.+)$`)
	code    = regexp.MustCompile("`([^`\n]+)`")
	file    = regexp.MustCompile(`^\.?[a-z0-9_-]+/[A-Za-z0-9_./-]*\.(go|md|sql|graphqls|yml|mjs|json)$`)
	fence   = regexp.MustCompile("(?ms)^```([a-z]*)\n(.*?)^```$")
	notWord = regexp.MustCompile(`[^a-z0-9 _-]`)
)

// anchors are the fragments that a page's headings have.
func anchors(text string) map[string]bool {
	found := map[string]bool{}
	for _, m := range heading.FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
		found[strings.ReplaceAll(notWord.ReplaceAllString(strings.ToLower(m[1]), ""), " ", "-")] = true
	}
	return found
}

func TestLinksLeadSomewhere(t *testing.T) {
	t.Parallel()
	for _, p := range pages(t) {
		for _, m := range link.FindAllStringSubmatch(fence.ReplaceAllString(p.text, ""), -1) {
			if strings.Contains(m[2], "://") {
				continue
			}
			to, fragment, _ := strings.Cut(m[2], "#")
			target := p.path
			if to != "" {
				target = filepath.ToSlash(filepath.Join(filepath.Dir(p.path), to))
			}
			switch {
			case !exists(target):
				t.Errorf("%s links to %s, which does not exist", p.path, m[2])
			case fragment != "" && !anchors(read(t, target))[fragment]:
				t.Errorf("%s links to %s, and there is no such heading", p.path, m[2])
			case file.MatchString(m[1]) && m[1] != target:
				t.Errorf("%s calls %s %s", p.path, target, m[1])
			}
		}
	}
}

func TestFilesThatAreNamedExist(t *testing.T) {
	t.Parallel()
	for _, p := range pages(t) {
		for _, m := range code.FindAllStringSubmatch(p.text, -1) {
			if name := m[1]; file.MatchString(name) && !exists(name) && !exists(filepath.Join(filepath.Dir(p.path), name)) {
				t.Errorf("%s names the file %s, which does not exist", p.path, name)
			}
		}
	}
}

func TestTestsThatAreNamedExist(t *testing.T) {
	t.Parallel()
	tests := testsOfTheModule(t)
	name := regexp.MustCompile("`(Test[A-Za-z0-9_]+)`")
	for _, p := range pages(t) {
		for _, m := range name.FindAllStringSubmatch(p.text, -1) {
			if !tests[m[1]] {
				t.Errorf("%s names %s, which is no test of this module", p.path, m[1])
			}
		}
	}
}

// commands are those of server.go with their flags.
func commands(t *testing.T) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	text, _, ok := strings.Cut(read(t, "server.go"), "func main()")
	if !ok {
		t.Fatal("server.go has no main")
	}
	begin := regexp.MustCompile(`^\t([A-Z][A-Za-z]*) +struct ?\{`)
	field := regexp.MustCompile("^\t\t([A-Z][A-Za-z]*) .*`")
	at := ""
	for line := range strings.Lines(text) {
		if m := begin.FindStringSubmatch(line); m != nil {
			at = strings.ToLower(m[1])
			found[at] = nil
		} else if m := field.FindStringSubmatch(line); m != nil {
			found[at] = append(found[at], strings.ToLower(m[1]))
		}
	}
	return found
}

func TestCommandsExist(t *testing.T) {
	t.Parallel()
	ours := commands(t)
	if len(ours) < 7 {
		t.Fatalf("read %v from server.go", ours)
	}
	targets := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^([a-z-]+):`).FindAllStringSubmatch(read(t, "Makefile"), -1) {
		targets[m[1]] = true
	}
	run := regexp.MustCompile("go run \\. ([a-z]+)([^\n#`]*)")
	option := regexp.MustCompile(`--([a-z-]+)`)
	target := regexp.MustCompile("(?m)(?:^|`)make ([a-z-]+)")
	named := map[string]bool{}
	for _, p := range pages(t) {
		for _, m := range run.FindAllStringSubmatch(p.text, -1) {
			flags, ok := ours[m[1]]
			if !ok {
				t.Errorf("%s runs the command %s, which server.go does not have", p.path, m[1])
			}
			for _, f := range option.FindAllStringSubmatch(m[2], -1) {
				if !slices.Contains(flags, f[1]) {
					t.Errorf("%s gives %s the flag --%s; it has %v", p.path, m[1], f[1], flags)
				}
			}
			if p.path == "README.md" {
				named[m[1]] = true
			}
		}
		for _, m := range target.FindAllStringSubmatch(p.text, -1) {
			if !targets[m[1]] {
				t.Errorf("%s calls make %s, which the Makefile does not have", p.path, m[1])
			}
		}
	}
	if missing := slices.DeleteFunc(slices.Sorted(maps.Keys(ours)), func(c string) bool { return named[c] }); len(missing) > 0 {
		t.Errorf("README.md does not tell of the commands %v", missing)
	}
}

// The table of the environment is what --help prints.
func TestEnvironmentTableIsTheHelp(t *testing.T) {
	t.Parallel()
	var help strings.Builder
	config.Help(&help)
	line := regexp.MustCompile(`^ +([A-Z_]+) {2,}(.+?)(?: \[(.+)\])?$`)
	table := "| Variable | What it is | Default |\n|---|---|---|\n"
	for text := range strings.Lines(help.String()) {
		m := line.FindStringSubmatch(strings.TrimRight(text, "\n"))
		if m == nil {
			t.Fatalf("not a line of the help: %q", text)
		}
		given := ""
		if m[3] != "" {
			given = "`" + m[3] + "`"
		}
		table += fmt.Sprintf("| `%s` | %s | %s |\n", m[1], m[2], given)
	}
	generated(t, "README.md", "<!-- environment: from internal/config -->\n", "<!-- end -->", table)
}

// The diagram of the call states is drawn from the table that the code goes by.
func TestCallStatesAreTheTable(t *testing.T) {
	t.Parallel()
	generated(t, "docs/call-states.md", "```mermaid\n", "```\n", call.StateDiagram())
}

// generated compares the part of a file between two marks, or writes it with -update.
func generated(t *testing.T, path, begin, end, want string) {
	t.Helper()
	text := read(t, path)
	head, rest, ok := strings.Cut(text, begin)
	got, tail, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s lacks the marks %q and %q", path, begin, end)
	}
	if got == want {
		return
	}
	if *update {
		if err := os.WriteFile(filepath.Join(root, path), []byte(head+begin+want+end+tail), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Errorf("%s is not up to date; run `go test ./docs -update` (-there +due):\n%s", path, cmp.Diff(got, want))
}

// Whoever pastes an example must not be told that it is wrong.
func TestExamplesFitTheContract(t *testing.T) {
	t.Parallel()
	schema, err := gqlparser.LoadSchema(&ast.Source{Name: "schema.graphqls", Input: read(t, "schema.graphqls")})
	if err != nil {
		t.Fatal(err)
	}
	pasted := regexp.MustCompile(`"query": ?"((?:[^"\\]|\\.)*)"`)
	count := 0
	for _, p := range pages(t) {
		var examples []string
		for _, m := range fence.FindAllStringSubmatch(p.text, -1) {
			if m[1] == "graphql" {
				examples = append(examples, m[2])
			}
		}
		for _, m := range pasted.FindAllStringSubmatch(p.text, -1) {
			examples = append(examples, strings.ReplaceAll(m[1], `\"`, `"`))
		}
		for _, text := range examples {
			count++
			if _, list := gqlparser.LoadQueryWithRules(schema, text, rules.NewDefaultRules()); len(list) > 0 {
				t.Errorf("%s: %v\n%s", p.path, list, text)
			}
		}
	}
	if count < 8 {
		t.Errorf("found %d examples only", count)
	}
}

// What the documents take from the code by name stands there.
func TestNamesOfTheCodeStandInIt(t *testing.T) {
	t.Parallel()
	for what, x := range map[string]struct {
		name *regexp.Regexp
		in   []string
		form string // how it stands in the code
	}{
		"verb of the emulator's control API": {regexp.MustCompile(`/_control/([a-z]+)`), []string{"internal/emulator/control.go"}, `"%s"`},
		"metric":                             {regexp.MustCompile(`\b(switchboard_[a-z_]+)`), []string{"internal/app/private.go"}, `"%s"`},
		"number or code of a limit":          {regexp.MustCompile("`(errs\\.[A-Z][A-Za-z]+)`"), []string{"internal/errs/errs.go"}, "%s"},
	} {
		var text string
		for _, path := range x.in {
			text += read(t, path)
		}
		for _, p := range pages(t) {
			for _, m := range x.name.FindAllStringSubmatch(p.text, -1) {
				if !strings.Contains(text, fmt.Sprintf(x.form, strings.TrimPrefix(m[1], "errs."))) {
					t.Errorf("%s: %s %s is not in %v", p.path, what, m[1], x.in)
				}
			}
		}
	}
}

// A client that reads the guide knows every code with which a socket can close.
func TestGuideTellsEveryCloseCode(t *testing.T) {
	t.Parallel()
	guide := read(t, "docs/guides/front-end.md")
	codes := regexp.MustCompile(`StatusCode\((4\d{3})\)`).FindAllStringSubmatch(read(t, "graph/edge/socket.go"), -1)
	if len(codes) < 6 {
		t.Fatalf("found %v", codes)
	}
	for _, m := range codes {
		if !strings.Contains(guide, "| "+m[1]+" |") {
			t.Errorf("docs/guides/front-end.md does not tell of close code %s", m[1])
		}
	}
}

// The numbers of the guide are the limits of the edge.
func TestGuideTellsTheLimits(t *testing.T) {
	t.Parallel()
	guide := strings.Join(strings.Fields(read(t, "docs/guides/front-end.md")), " ")
	l := edge.DefaultLimits()
	for what, text := range map[string]string{
		"documents": fmt.Sprintf("%d KiB, %d levels, %d,%03d fields and %d aliases", l.Signed.Bytes>>10, l.Signed.Depth, l.Signed.Nodes/1000, l.Signed.Nodes%1000, l.Signed.Aliases),
		"frames":    fmt.Sprintf("longer than %d KiB", l.Frame>>10),
		"uploads":   fmt.Sprintf("%d MB at most", media.MaxUpload>>20),
	} {
		if !strings.Contains(guide, text) {
			t.Errorf("docs/guides/front-end.md does not say %q of %s", text, what)
		}
	}
}

// The tree of the architecture is the tree.
func TestArchitectureShowsEveryPackage(t *testing.T) {
	t.Parallel()
	text := read(t, "docs/ARCHITECTURE.md")
	_, tree, _ := strings.Cut(text, "```\n")
	tree, _, _ = strings.Cut(tree, "```")
	shown := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^ *((?:[a-z]+/ ?)+)`).FindAllStringSubmatch(tree, -1) {
		for name := range strings.FieldsSeq(m[1]) {
			shown[strings.TrimSuffix(name, "/")] = true
		}
	}
	there := map[string]bool{}
	walk(t, func(path string) {
		parts := strings.Split(path, "/")
		if strings.HasSuffix(path, ".go") && len(parts) > 2 && (parts[0] == "internal" || parts[0] == "graph") {
			there[parts[1]] = true
		}
	})
	for name := range there {
		if !shown[name] {
			t.Errorf("docs/ARCHITECTURE.md does not show the package %s", name)
		}
	}
	for name := range shown {
		if !there[name] && !exists(name) && !exists("graph/"+name) {
			t.Errorf("docs/ARCHITECTURE.md shows %s, which does not exist", name)
		}
	}
}

// Every dependency says what it is for.
func TestEveryDependencyIsExplained(t *testing.T) {
	t.Parallel()
	mod := read(t, "go.mod")
	_, direct, _ := strings.Cut(mod, "require (\n")
	direct, _, _ = strings.Cut(direct, ")")
	row := regexp.MustCompile("(?m)^\\| `([^`]+)`(?:, `([^`]+)`)? \\|(.*)\\|$")
	explained := map[string]bool{}
	for _, m := range row.FindAllStringSubmatch(read(t, "docs/dependencies.md"), -1) {
		for _, module := range m[1:3] {
			if module != "" && !strings.Contains(mod, "\t"+module+" v") {
				t.Errorf("docs/dependencies.md explains %s, which go.mod does not name", module)
			}
			explained[module] = true
		}
		if strings.Contains(m[3], "| |") {
			t.Errorf("docs/dependencies.md leaves a cell of %s empty", m[1])
		}
	}
	var source strings.Builder
	walk(t, func(path string) {
		if strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "exec_gen.go") {
			if text := read(t, path); !strings.HasPrefix(text, "//go:build warm") {
				source.WriteString(text)
			}
		}
	})
	for _, m := range regexp.MustCompile(`(?m)^\t(\S+) v\S+$`).FindAllStringSubmatch(direct, -1) {
		used := strings.Contains(source.String(), `"`+m[1]+`"`) || strings.Contains(source.String(), `"`+m[1]+"/")
		if used && !explained[m[1]] {
			t.Errorf("docs/dependencies.md does not explain %s", m[1])
		}
	}
}

// A decision has its four parts, its number and its line in the index.
func TestDecisionsAreWhole(t *testing.T) {
	t.Parallel()
	index := read(t, "docs/decisions/README.md")
	found, err := filepath.Glob("decisions/[0-9]*.md")
	if err != nil || len(found) == 0 {
		t.Fatal("no decisions", err)
	}
	for i, path := range found {
		name := filepath.Base(path)
		text := read(t, "docs/decisions/"+name)
		if want := fmt.Sprintf("%04d-", i+1); !strings.HasPrefix(name, want) {
			t.Errorf("%s stands where %s… is due", name, want)
		}
		title := heading.FindStringSubmatch(text)[1]
		if !strings.Contains(index, "["+title+"]("+name+")") {
			t.Errorf("docs/decisions/README.md does not list [%s](%s)", title, name)
		}
		for _, part := range []string{"## Context", "## Decision", "## Alternatives", "## Consequences"} {
			if !strings.Contains(text, part+"\n") {
				t.Errorf("%s lacks the part %q", name, part)
			}
		}
	}
}

// A requirement that is met by telling people is told.
func TestNoticesAreGiven(t *testing.T) {
	t.Parallel()
	notice := regexp.MustCompile(`(?m)^(R\d{3}) .+ → a notice: (\S+\.md)`)
	for _, m := range notice.FindAllStringSubmatch(read(t, "docs/requirements.md"), -1) {
		if !exists(m[2]) || !strings.Contains(read(t, m[2]), m[1]) {
			t.Errorf("%s is to be told in %s, which does not name it", m[1], m[2])
		}
	}
}
