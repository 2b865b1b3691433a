package edge_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"switchboard/graph/edge"
	"switchboard/internal/clock"
)

// The same suite that runs against a real server: conformance/README.md.
func TestConformanceSuitePasses(t *testing.T) {
	t.Parallel()
	const dir = "../../conformance"
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("skipped: node is not installed")
	}
	if _, err := os.Stat(filepath.Join(dir, "node_modules", "graphql-http")); err != nil {
		t.Skip("skipped: run npm ci in conformance/ first")
	}
	s := newStage(t, func(o *edge.Options) {
		o.Clock = clock.Real{}
		o.Authenticate = func(_ context.Context, bearer string) (edge.Identity, error) {
			if bearer != good {
				return edge.Identity{}, os.ErrPermission
			}
			return edge.Identity{Key: "ann", MayIntrospect: true}, nil
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, node, "run.mjs", "--url", s.server.URL+"/graphql", "--token", good)
	c.Dir = dir
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if !strings.Contains(string(out), "graphql-http: 61 passed, 0 failed") {
		t.Errorf("%s", out)
	}
	t.Logf("%s", out)
}
