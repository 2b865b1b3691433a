package edge

import (
	"net/http"
	"net/url"
	"strings"
	"sync"

	"switchboard/internal/errs"
)

// streams counts the sockets and event streams that are open.
type streams struct {
	mu     sync.Mutex // guards the rest
	open   map[string]int
	total  int
	most   int
	waiter []chan struct{} // closed when total is zero
	closed bool            // gone was asked for: nobody enters any more
}

func (s *streams) init(most int) { s.most, s.open = most, map[string]int{} }

// enter counts one more stream for key, or says why not.
func (s *streams) enter(key string, most int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.total >= s.most {
		return errs.New(errs.Unavailable, "too many streams are open on this server; try again")
	}
	if s.open[key] >= most {
		return errs.New(errs.LimitReached, "too many streams are open; close one of %d", most)
	}
	s.open[key]++
	s.total++
	return nil
}

// move counts an open stream for another key: its owner is known now.
func (s *streams) move(from, to string, most int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if from == to {
		return nil
	}
	if s.open[to] >= most {
		return errs.New(errs.LimitReached, "too many streams are open; close one of %d", most)
	}
	s.drop(from)
	s.open[to]++
	return nil
}

func (s *streams) leave(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop(key)
	if s.total--; s.total == 0 {
		for _, w := range s.waiter {
			close(w)
		}
		s.waiter = nil
	}
}

func (s *streams) drop(key string) {
	if s.open[key]--; s.open[key] <= 0 {
		delete(s.open, key)
	}
}

func (s *streams) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.total
}

// gone lets nobody in any more; the channel is closed when no stream is open.
func (s *streams) gone() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	c := make(chan struct{})
	if s.total == 0 {
		close(c)
	} else {
		s.waiter = append(s.waiter, c)
	}
	return c
}

// streamKey is whom a stream is counted for.
func streamKey(r *Request) string {
	if r.Who.Key != "" {
		return "who " + r.Who.Key
	}
	return "from " + r.ClientIP
}

// originAllowed applies the list for cross-origin requests to upgrades, which browsers
// do not check themselves. No Origin means no browser.
func (e *Edge) originAllowed(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return true
	}
	if u, err := url.Parse(origin); err == nil && u.Host != "" && strings.EqualFold(u.Host, r.Host) {
		return true
	}
	return e.cors != nil && e.cors.OriginAllowed(r)
}
