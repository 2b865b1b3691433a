package bench_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"switchboard/internal/bench"
	"switchboard/internal/demo"
)

const searchQuery = `query($text: String!) { search(text: $text, first: 25) { nodes { kind at excerpt node { id } } pageInfo { hasNextPage endCursor } } }`

// BenchmarkSearch looks for words over the messages of one organization: one that
// stands in ten of them, and one that stands in a sixth. The rate is that of one
// client; search-ms is what one search takes.
func BenchmarkSearch(b *testing.B) {
	s := scale(b)
	s = bench.Scale{Organizations: 1, Calls: 2000, Messages: s.Messages}
	owner, url := seeded(b, s)
	ctx := context.Background()
	_, err := owner.Exec(ctx, `UPDATE message SET body = body || ' Zanzibar' WHERE (organization_id, id) IN
		(SELECT organization_id, id FROM message ORDER BY md5(id::text) LIMIT 10)`)
	must(b, err)
	_, err = owner.Exec(ctx, `VACUUM ANALYZE message`)
	must(b, err)
	srv := start(b, s, url)
	for name, text := range map[string]string{"rare": "zanzibar", "common": "invoice week"} {
		b.Run(fmt.Sprintf("%s/%d", name, s.Messages), func(b *testing.B) {
			body := string(marshal(map[string]any{"query": searchQuery, "variables": demo.Vars{"text": text}}))
			for b.Loop() {
				r, err := http.NewRequestWithContext(ctx, http.MethodPost, srv.url+"/graphql", strings.NewReader(body))
				must(b, err)
				r.Header.Set("Content-Type", "application/json")
				r.Header.Set("Authorization", "Bearer "+srv.token)
				res, err := http.DefaultClient.Do(r)
				must(b, err)
				got, err := io.ReadAll(res.Body)
				must(b, err)
				_ = res.Body.Close()
				if !strings.Contains(string(got), `"MESSAGE"`) {
					b.Fatalf("nothing was found: %.300s", got)
				}
			}
			b.ReportMetric(b.Elapsed().Seconds()*1000/float64(b.N), "search-ms")
		})
	}
}
