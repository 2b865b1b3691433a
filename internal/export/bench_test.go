package export_test

import (
	"context"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"

	"switchboard/internal/export"
)

// BenchmarkRows exports the call log, as many rows as EXPORT_ROWS says (20,000 when
// it says nothing), and reports how much the process grew meanwhile. `make
// bench-export` asks for a million and fails beyond 50 MB.
func BenchmarkRows(b *testing.B) {
	rows := 20_000
	if n, err := strconv.Atoi(os.Getenv("EXPORT_ROWS")); err == nil {
		rows = n
	}
	s := prepare(b, rows)
	s.exec(`ANALYZE call`)
	s.start(0)
	for _, format := range []export.Format{export.CSV, export.XLSX} {
		b.Run(string(format), func(b *testing.B) {
			for b.Loop() {
				debug.FreeOSMemory()
				before := resident(b)
				ctx, stop := context.WithCancel(b.Context())
				peak := make(chan int64)
				go func() {
					most := before
					for {
						select {
						case <-ctx.Done():
							peak <- most
							return
						case <-time.After(20 * time.Millisecond):
							most = max(most, resident(b))
						}
					}
				}()
				begun := time.Now()
				e := s.create(export.NewExport{Kind: export.Calls, Format: format})
				deadline := time.Now().Add(20 * time.Minute)
				for e.Status != export.Done && time.Now().Before(deadline) {
					<-time.After(50 * time.Millisecond)
					got, err := s.svc.Get(s.ctx(), s.boss, e.ID)
					if err != nil {
						b.Fatal(err)
					}
					if e = got; e.Status == export.Failed {
						b.Fatal(*e.Problem)
					}
				}
				took := time.Since(begun)
				stop()
				grown := <-peak - before
				if e.RowCount != rows {
					b.Fatalf("%d rows", e.RowCount)
				}
				b.ReportMetric(float64(grown)/(1<<20), "RSS-growth-MB")
				b.ReportMetric(float64(rows)/took.Seconds(), "rows/s")
				b.ReportMetric(float64(e.ByteCount)/(1<<20), "file-MB")
				if grown > 50<<20 {
					b.Errorf("the process grew by %d MB for %d rows", grown>>20, rows)
				}
			}
		})
	}
}

// resident is how much memory the process has.
func resident(b *testing.B) int64 {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil { // no Linux: what Go has
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.Sys - m.HeapReleased)
	}
	_, after, _ := strings.Cut(string(text), "VmRSS:")
	n, err := strconv.ParseInt(strings.Fields(after)[0], 10, 64)
	if err != nil {
		b.Fatal(err)
	}
	return n << 10
}
