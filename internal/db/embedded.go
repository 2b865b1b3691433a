package db

import (
	"context"
	"errors"
	"log/slog"
)

// ClusterOptions say where a private cluster lives and how it runs.
type ClusterOptions struct {
	DataDir string
	Fast    bool
	Logger  *slog.Logger
}

// Cluster is a private PostgreSQL.
type Cluster struct{}

// StartCluster starts or adopts the cluster.
func StartCluster(ctx context.Context, o ClusterOptions) (*Cluster, error) {
	return nil, errors.New("set DATABASE_URL")
}

// URL is the owner's login.
func (c *Cluster) URL(database string) string { return "" }

// Stop stops it.
func (c *Cluster) Stop() {}
