package docs_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	requirement = regexp.MustCompile(`^(R\d{3}) (.+) → (.+?)  $`)
	testName    = regexp.MustCompile(`^Test[A-Za-z0-9_]+$`)
	testFunc    = regexp.MustCompile(`(?m)^func (Test[A-Za-z0-9_]+)\(`)
)

// Every requirement stands once and in order, and names tests that exist.
func TestRequirementsNameTestsThatExist(t *testing.T) {
	t.Parallel()
	tests := testsOfTheModule(t)
	text, err := os.ReadFile("requirements.md")
	if err != nil {
		t.Fatal(err)
	}
	next := 1
	for _, line := range strings.Split(string(text), "\n") {
		if line == "" || line[0] != 'R' {
			continue
		}
		m := requirement.FindStringSubmatch(line)
		if m == nil {
			t.Errorf("not a requirement's line: %s", line)
			continue
		}
		if want := fmt.Sprintf("R%03d", next); m[1] != want {
			t.Fatalf("found %s where %s is due", m[1], want)
		}
		next++
		proof := m[3]
		if proof == "not yet" || strings.HasPrefix(proof, "out of scope: ") || strings.HasPrefix(proof, "a notice: ") {
			continue
		}
		names, _, _ := strings.Cut(proof, "; ")
		for _, name := range strings.Split(names, ", ") {
			if !testName.MatchString(name) || !tests[name] {
				t.Errorf("%s names %q, which is no test of this module", m[1], name)
			}
		}
	}
	if next != 289 {
		t.Errorf("the last requirement is R%03d, want R288", next-1)
	}
}

func testsOfTheModule(t *testing.T) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "node_modules" || d.Name() == ".git" || d.Name() == "data"):
			return fs.SkipDir
		case !strings.HasSuffix(path, "_test.go"):
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, m := range testFunc.FindAllStringSubmatch(string(text), -1) {
			found[m[1]] = true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
