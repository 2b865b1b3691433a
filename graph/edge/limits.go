package edge

import "time"

// Limits bound everything a client can make the server do. A zero field takes its default.
type Limits struct {
	Signed    DocumentLimits // with a token
	Anonymous DocumentLimits // without: enough to sign in

	Body          int64         // bytes of a POST body; 2 MiB
	AnonymousBody int64         // the same without a token; 32 KiB
	Nesting       int           // levels of JSON in a body; 64
	Values        int           // strings, numbers and so on in the variables; 50,000: ten thousand recipients with what belongs to them
	Errors        int           // errors in one answer; 50
	Execution     time.Duration // for a query or mutation; 10 s
	Concurrent    int           // operations executed at once; 256

	CachedDocuments int // parsed documents kept; 200
	CachedBytes     int // and the bytes of their texts; 4 MiB

	Streams            int           // sockets and event streams of everybody; 10,000
	StreamsPerIdentity int           // and of one identity, or of one address when anonymous; 20
	OpeningPerAddress  int           // sockets of one address that have not said who they are; 100
	SocketInit         time.Duration // from the upgrade to connection_ack; 3 s
	Ping               time.Duration // between keep-alives, on sockets and event streams; 10 s
	Write              time.Duration // for one write, and for room in a full queue; 10 s
	Frame              int64         // bytes of a frame from a client; 64 KiB
	SocketOperations   int           // running at once on one socket; 50
	QueuedMessages     int           // waiting for the reader on one socket; 256
	QueuedBytes        int           // likewise; 4 MiB
}

// DocumentLimits bound one GraphQL document. All but Cost are checked before the
// document is validated, because validation takes time quadratic in what they count.
type DocumentLimits struct {
	Bytes              int // of text
	Tokens             int // as the lexer counts
	Operations         int // defined in the document
	Fragments          int // defined in the document
	Variables          int // defined by one operation
	Nodes              int // fields after spreading all fragments, and selections in the text
	Depth              int // fields inside fields
	IntrospectionDepth int // the same below __schema and __type
	Aliases            int
	Directives         int
	Overlaps           int // pairs of selections that have one name in one place, and must be compared
	RootFields         int // of a query
	MutationFields     int // of a mutation
	CostlyFields       int // of a mutation that costs money (Options.Costly)
	Cost               int // see Field
}

// DefaultLimits are what zero fields become.
func DefaultLimits() Limits {
	return Limits{
		// GraphiQL's introspection query has 300 tokens, 190 nodes and 15 levels; the
		// largest screen of ours some 100 nodes. The worst document found within these bounds
		// is parsed and validated in a few milliseconds.
		Signed: DocumentLimits{
			Bytes: 64 << 10, Tokens: 4000, Operations: 10, Fragments: 50, Variables: 100, Nodes: 1000, Depth: 14,
			IntrospectionDepth: 20, Aliases: 50, Directives: 50, Overlaps: 3000, RootFields: 20, MutationFields: 10,
			CostlyFields: 1, Cost: 50_000,
		},
		Anonymous: DocumentLimits{
			Bytes: 8 << 10, Tokens: 400, Operations: 1, Fragments: 5, Variables: 10, Nodes: 60, Depth: 6,
			IntrospectionDepth: 1, Aliases: 3, Directives: 4, Overlaps: 10, RootFields: 3, MutationFields: 1,
			CostlyFields: 1, Cost: 500,
		},
		Body: 2 << 20, AnonymousBody: 32 << 10, Nesting: 64, Values: 50_000, Errors: 50, Execution: 10 * time.Second, Concurrent: 256,
		CachedDocuments: 200, CachedBytes: 4 << 20,
		Streams: 10_000, StreamsPerIdentity: 20, OpeningPerAddress: 100, SocketInit: 3 * time.Second, Ping: 10 * time.Second,
		Write: 10 * time.Second, Frame: 64 << 10, SocketOperations: 50, QueuedMessages: 256, QueuedBytes: 4 << 20,
	}
}

func (l Limits) withDefaults() Limits {
	d := DefaultLimits()
	l.Signed.fill(d.Signed)
	l.Anonymous.fill(d.Anonymous)
	fill(&l.Body, d.Body)
	fill(&l.AnonymousBody, d.AnonymousBody)
	fill(&l.Values, d.Values)
	fill(&l.Nesting, d.Nesting)
	fill(&l.Errors, d.Errors)
	fill(&l.Execution, d.Execution)
	fill(&l.Concurrent, d.Concurrent)
	fill(&l.CachedDocuments, d.CachedDocuments)
	fill(&l.CachedBytes, d.CachedBytes)
	fill(&l.Streams, d.Streams)
	fill(&l.StreamsPerIdentity, d.StreamsPerIdentity)
	fill(&l.OpeningPerAddress, d.OpeningPerAddress)
	fill(&l.SocketInit, d.SocketInit)
	fill(&l.Ping, d.Ping)
	fill(&l.Write, d.Write)
	fill(&l.Frame, d.Frame)
	fill(&l.SocketOperations, d.SocketOperations)
	fill(&l.QueuedMessages, d.QueuedMessages)
	fill(&l.QueuedBytes, d.QueuedBytes)
	return l
}

func (l *DocumentLimits) fill(d DocumentLimits) {
	fill(&l.Bytes, d.Bytes)
	fill(&l.Tokens, d.Tokens)
	fill(&l.Operations, d.Operations)
	fill(&l.Fragments, d.Fragments)
	fill(&l.Variables, d.Variables)
	fill(&l.Nodes, d.Nodes)
	fill(&l.Depth, d.Depth)
	fill(&l.IntrospectionDepth, d.IntrospectionDepth)
	fill(&l.Aliases, d.Aliases)
	fill(&l.Directives, d.Directives)
	fill(&l.Overlaps, d.Overlaps)
	fill(&l.RootFields, d.RootFields)
	fill(&l.MutationFields, d.MutationFields)
	fill(&l.CostlyFields, d.CostlyFields)
	fill(&l.Cost, d.Cost)
}

func fill[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}
