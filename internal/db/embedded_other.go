//go:build !unix

package db

import (
	"context"
	"errors"
)

// Cluster is a private PostgreSQL. There is none on this system.
type Cluster struct{}

// StartCluster says what to do instead.
func StartCluster(context.Context, ClusterOptions) (*Cluster, error) {
	return nil, errors.New("a private PostgreSQL runs on Linux and macOS only; use WSL, or set DATABASE_URL to a PostgreSQL 15 or newer")
}

// URL is never reached.
func (c *Cluster) URL(string) string { return "" }

// AdminURL is never reached.
func (c *Cluster) AdminURL() string { return "" }

// DataDir is never reached.
func (c *Cluster) DataDir() string { return "" }

// Stop does nothing.
func (c *Cluster) Stop() {}
