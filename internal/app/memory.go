package app

import (
	"os"
	"runtime/debug"
)

// The heap of this server is small and its garbage plentiful: collecting when it
// has grown fivefold rather than twofold takes a quarter of Go's CPU away. The
// soft limit keeps a small installation small; with thousands of sockets give
// more by GOMEMLIMIT. Go's own variables win.
const (
	collectAt     = 400
	laptopMemory  = 48 << 20
	servingMemory = 512 << 20
)

func useMemory(limit int64) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(collectAt)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(limit)
	}
}
