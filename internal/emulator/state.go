package emulator

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"switchboard/internal/clock"
)

// maxState is the largest state that Load reads; 10,000 numbers take some 8 MB.
const maxState = 64 << 20

// Save writes what outlives the emulator: accounts with their secrets, numbers,
// keys, applications, services and caller IDs. Calls, messages and recordings are
// not kept, and neither are registered devices: they register again by themselves.
func (e *Emulator) Save(w io.Writer) error {
	b, err := e.Snapshot()
	if err != nil {
		return err
	}
	_, err = w.Write(b)
	return err
}

// Load reads what Save wrote into an emulator that has none of those accounts.
func (e *Emulator) Load(r io.Reader) error {
	b, err := io.ReadAll(io.LimitReader(r, maxState+1))
	if err != nil {
		return fmt.Errorf("emulator: its state cannot be read: %w", err)
	}
	if len(b) > maxState {
		return fmt.Errorf("emulator: its state is larger than %d MiB", maxState>>20)
	}
	return e.Restore(b)
}

// calm is the least time between two writes: a busy call changes the emulator
// many times a second, and hardly ever what is kept.
const calm = 100 * time.Millisecond

// KeepIn loads the file, if there is one, and from now on keeps what Save would
// write in it: at once when it changes, and a last time at stop. The file is replaced
// whole, so that it is never half-written, and only its owner may read it. Stop
// returns the first error of writing since; it may be called again.
func KeepIn(e *Emulator, path string) (stop func() error, err error) {
	f, err := os.Open(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return nil, fmt.Errorf("emulator: the folder of its state cannot be made: %w", err)
		}
	case err != nil:
		return nil, fmt.Errorf("emulator: its state cannot be read: %w", err)
	default:
		err = e.Load(f)
		_ = f.Close()
		if err != nil {
			return nil, fmt.Errorf("%w (file %s)", err, path)
		}
	}
	k := &keeper{e: e, path: path, quit: make(chan struct{}), done: make(chan struct{})}
	go k.run()
	return sync.OnceValue(k.stop), nil
}

// keeper writes the state of one emulator to one file.
type keeper struct {
	e          *Emulator
	path       string
	last       []byte
	err        error
	quit, done chan struct{}
}

func (k *keeper) run() {
	defer close(k.done)
	for {
		// The signal is taken before the state is read: a change between the two is
		// seen by the next turn.
		var changed <-chan struct{}
		k.e.read(func() { changed = k.e.changed })
		k.write()
		select {
		case <-k.quit:
			return
		case <-changed:
		}
		c, release := clock.Real{}.After(calm) // a file is written in the time of this machine
		select {
		case <-k.quit:
			release()
			return
		case <-c:
		}
	}
}

func (k *keeper) stop() error {
	close(k.quit)
	<-k.done
	k.write()
	return k.err
}

func (k *keeper) write() {
	b, err := k.e.Snapshot()
	if err == nil && bytes.Equal(b, k.last) {
		return
	}
	if err == nil {
		err = replace(k.path, b)
	}
	if err != nil {
		if k.err == nil {
			k.err = fmt.Errorf("emulator: its state cannot be kept: %w", err)
		}
		return
	}
	k.last = b
}

// replace writes a file whole or not at all.
func replace(path string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}
