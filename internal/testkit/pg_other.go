//go:build !linux

package testkit

// sharedMemory is known on Linux only.
func sharedMemory() string { return "" }
