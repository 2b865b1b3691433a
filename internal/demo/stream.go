package demo

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/coder/websocket"
)

// Stream is a running subscription.
type Stream struct {
	c      chan json.RawMessage
	cancel context.CancelFunc
	done   chan struct{}
	err    error // set before done is closed
	cut    func()
	ending atomic.Bool
}

// C gives the data of each answer and is closed at the end of the stream.
func (s *Stream) C() <-chan json.RawMessage { return s.c }

// Err is why the stream ended; nil when it is complete, was stopped or still runs.
func (s *Stream) Err() error {
	select {
	case <-s.done:
		return s.err
	default:
		return nil
	}
}

// Stop ends the stream and waits until it has ended. It may be called again.
func (s *Stream) Stop() {
	if !s.ending.Swap(true) {
		s.cut()
	}
	s.cancel()
	<-s.done
}

// Next reads one answer into out, waiting for it.
func (s *Stream) Next(ctx context.Context, out any) error {
	select {
	case raw, ok := <-s.c:
		if !ok {
			<-s.done
			if s.err != nil {
				return s.err
			}
			return io.EOF
		}
		if out == nil {
			return nil
		}
		return json.Unmarshal(raw, out)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// run is the goroutine of a stream. It calls read until that fails.
func (s *Stream) run(ctx context.Context, query string, read func() (a answer, more bool, err error)) {
	defer close(s.done)
	defer close(s.c)
	defer s.cancel()
	for {
		a, more, err := read()
		if err != nil {
			if ctx.Err() == nil && !s.ending.Load() {
				s.err = err
			}
			return
		}
		if !more {
			return
		}
		if len(a.Errors) > 0 && (len(a.Data) == 0 || string(a.Data) == "null") {
			s.err = a.read(query, 0, nil)
			return
		}
		select {
		case s.c <- a.Data:
		case <-ctx.Done():
			return
		}
	}
}

// Subscribe is Watch for callers that only want the answers and a way to stop.
func (c *Client) Subscribe(ctx context.Context, query string, vars Vars) (<-chan json.RawMessage, func(), error) {
	s, err := c.Watch(ctx, query, vars)
	if err != nil {
		return nil, nil, err
	}
	return s.C(), s.Stop, nil
}

const (
	subprotocol = "graphql-transport-ws"
	maxFrame    = 8 << 20
)

// message is one message of graphql-transport-ws.
type message struct {
	ID      string          `json:"id,omitempty"`
	Type    string          `json:"type"`
	Payload json.RawMessage `json:"payload,omitempty"`
}

// Watch runs a subscription on a WebSocket of its own. The protocol has no word for
// "subscribed": whoever must not miss a fact gives `after` a cursor taken before.
// Stop the stream when done with it.
func (c *Client) Watch(ctx context.Context, query string, vars Vars) (*Stream, error) {
	conn, res, err := websocket.Dial(ctx, "ws"+strings.TrimPrefix(c.URL, "http"), &websocket.DialOptions{HTTPClient: c.HTTP, Subprotocols: []string{subprotocol}})
	if err != nil {
		if res != nil {
			return nil, fmt.Errorf("%s: the socket is refused with HTTP status %d: %w", operation(query), res.StatusCode, err)
		}
		return nil, err
	}
	conn.SetReadLimit(maxFrame)
	w := &wire{conn: conn}
	fail := func(err error) (*Stream, error) {
		_ = conn.CloseNow()
		return nil, fmt.Errorf("%s: %w", operation(query), err)
	}
	hello := Vars{}
	if t := c.Token(); t != "" {
		hello["Authorization"] = "Bearer " + t
	}
	if err := w.send(ctx, "", "connection_init", hello); err != nil {
		return fail(err)
	}
	m, err := w.next(ctx)
	if err != nil {
		return fail(err)
	}
	if m.Type != "connection_ack" {
		return fail(fmt.Errorf("the server said %q before connection_ack", m.Type))
	}
	if err := w.send(ctx, "1", "subscribe", Vars{"query": query, "variables": vars}); err != nil {
		return fail(err)
	}
	ctx, cancel := context.WithCancel(ctx)
	s := &Stream{c: make(chan json.RawMessage, 64), cancel: cancel, done: make(chan struct{})}
	s.cut = func() { _ = conn.Close(websocket.StatusNormalClosure, "") }
	go func() {
		defer func() { _ = conn.CloseNow() }()
		s.run(ctx, query, func() (answer, bool, error) { return w.read(ctx, query) })
	}()
	return s, nil
}

// wire reads and writes messages on a socket.
type wire struct {
	conn *websocket.Conn
	mu   sync.Mutex // guards writing
}

func (w *wire) send(ctx context.Context, id, kind string, payload any) error {
	m := message{ID: id, Type: kind}
	if payload != nil {
		b, err := json.Marshal(payload)
		if err != nil {
			return err
		}
		m.Payload = b
	}
	b, err := json.Marshal(m)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.conn.Write(ctx, websocket.MessageText, b)
}

// next is the next message that is no ping.
func (w *wire) next(ctx context.Context) (m message, err error) {
	for {
		_, b, err := w.conn.Read(ctx)
		if err != nil {
			return m, err
		}
		m = message{}
		if err := json.Unmarshal(b, &m); err != nil {
			return m, fmt.Errorf("the server sent no message of the protocol: %w", err)
		}
		switch m.Type {
		case "pong":
		case "ping":
			if err := w.send(ctx, "", "pong", nil); err != nil {
				return m, err
			}
		default:
			return m, nil
		}
	}
}

func (w *wire) read(ctx context.Context, query string) (a answer, more bool, err error) {
	m, err := w.next(ctx)
	if err != nil {
		return a, false, err
	}
	switch m.Type {
	case "next":
		err = json.Unmarshal(m.Payload, &a)
		return a, err == nil, err
	case "error":
		if err := json.Unmarshal(m.Payload, &a.Errors); err != nil {
			return a, false, err
		}
		return a, false, a.read(query, 0, nil)
	case "complete":
		return a, false, nil
	}
	return a, false, fmt.Errorf("the server sent a message of unknown type %q", m.Type)
}

// WatchSSE runs a subscription over server-sent events (the distinct connections
// mode of graphql-sse).
func (c *Client) WatchSSE(ctx context.Context, query string, vars Vars) (*Stream, error) {
	body, err := json.Marshal(map[string]any{"query": query, "variables": vars})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.URL, bytes.NewReader(body))
	if err != nil {
		cancel()
		return nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "text/event-stream")
	if t := c.Token(); t != "" {
		r.Header.Set("Authorization", "Bearer "+t)
	}
	res, err := c.HTTP.Do(r)
	if err != nil {
		cancel()
		return nil, err
	}
	if res.StatusCode != http.StatusOK || !strings.HasPrefix(res.Header.Get("Content-Type"), "text/event-stream") {
		defer cancel()
		defer res.Body.Close()
		raw, _ := io.ReadAll(io.LimitReader(res.Body, 1<<20))
		var a answer
		_ = json.Unmarshal(raw, &a)
		return nil, join(a.read(query, res.StatusCode, nil), errors.New("the server opened no stream"))
	}
	s := &Stream{c: make(chan json.RawMessage, 64), cancel: cancel, done: make(chan struct{}), cut: func() { _ = res.Body.Close() }}
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, maxFrame)
	go func() {
		defer func() { _ = res.Body.Close() }()
		s.run(ctx, query, func() (answer, bool, error) { return readEvent(lines) })
	}()
	return s, nil
}

// readEvent is the next event of a stream; comments keep it alive and are passed over.
func readEvent(lines *bufio.Scanner) (a answer, more bool, err error) {
	var kind string
	var data []byte
	for lines.Scan() {
		line := lines.Text()
		switch name, value, _ := strings.Cut(line, ":"); {
		case line == "":
			switch kind {
			case "complete":
				return a, false, nil
			case "next":
				err := json.Unmarshal(data, &a)
				return a, err == nil, err
			}
			kind, data = "", nil
		case name == "event":
			kind = strings.TrimPrefix(value, " ")
		case name == "data":
			data = append(data, strings.TrimPrefix(value, " ")...)
		}
	}
	if err := lines.Err(); err != nil {
		return a, false, err
	}
	return a, false, io.ErrUnexpectedEOF
}
