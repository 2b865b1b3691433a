package app

import (
	"encoding/json"
	"net/http"
	"net/http/pprof"
	"runtime"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// private is what operators see on the private listener: metrics, profiles and
// the internals. It must never be reachable from outside.
func (a *App) private() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(a.metrics.registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /internals", a.serveInternals)
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	return mux
}

// Internals are the numbers an operator looks at first.
type Internals struct {
	Goroutines   int            `json:"goroutines"`
	HeapBytes    uint64         `json:"heapBytes"`
	SystemBytes  uint64         `json:"systemBytes"`
	Pools        map[string]any `json:"pools"`
	OutboxLength int64          `json:"outboxLength"`
	EventsParked int64          `json:"eventsParked"`
	Jobs         any            `json:"jobs"`
	Posts        any            `json:"posts"`
}

func (a *App) serveInternals(w http.ResponseWriter, r *http.Request) {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	in := Internals{Goroutines: runtime.NumGoroutine(), HeapBytes: m.HeapAlloc, SystemBytes: m.Sys, Pools: map[string]any{}}
	for _, p := range a.DB.Stats() {
		in.Pools[p.Name] = p
	}
	if h, err := a.Events.Health(r.Context()); err == nil {
		in.OutboxLength, in.EventsParked = h.Outbox, h.Parked()
	}
	if h, err := a.Jobs.Health(r.Context()); err == nil {
		in.Jobs = h
	}
	if h, err := a.Inbox.Health(r.Context()); err == nil {
		in.Posts = h
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(in)
}

// metrics are what Prometheus reads.
type metrics struct {
	registry   *prometheus.Registry
	operations *prometheus.HistogramVec
	webhooks   *prometheus.HistogramVec
	provider   *prometheus.HistogramVec
}

func newMetrics(a *App) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		operations: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "switchboard_graphql_seconds", Help: "Time of one GraphQL operation.", Buckets: prometheus.ExponentialBuckets(0.001, 2.5, 10),
		}, []string{"transport", "kind", "refused"}),
		webhooks: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "switchboard_webhook_seconds", Help: "Time of one post of Twilio.", Buckets: prometheus.ExponentialBuckets(0.001, 2.5, 10),
		}, []string{"kind", "status"}),
		provider: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "switchboard_twilio_seconds", Help: "Time of one request to Twilio.", Buckets: prometheus.ExponentialBuckets(0.01, 2.5, 8),
		}, []string{"resource", "status"}),
	}
	gauge := func(name, help string, value func() float64) {
		m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value))
	}
	m.registry.MustRegister(m.operations, m.webhooks, m.provider, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	gauge("switchboard_event_subscribers", "Live subscriptions to the event log.", func() float64 { return float64(a.Events.Counters().Subscribers) })
	gauge("switchboard_findings_open_problems", "Findings of the doctor that are problems, open when last counted.", func() float64 { n, _ := a.Diagnoses.Open(); return float64(n) })
	gauge("switchboard_findings_open_warnings", "Findings of the doctor that are warnings, open when last counted.", func() float64 { _, n := a.Diagnoses.Open(); return float64(n) })
	gauge("switchboard_event_slow_cut", "Subscribers that were cut for being slow.", func() float64 { return float64(a.Events.Counters().Cut) })
	return m
}
