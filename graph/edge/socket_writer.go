package edge

import (
	"context"
	"time"
	"unicode/utf8"

	"github.com/coder/websocket"
)

// push queues an answer of an operation; false when the operation is over or the
// socket closes. While the queue is full the operation waits, so that a long replay
// runs at the reader's pace; a reader that makes no room in time is cut.
func (s *socket) push(ctx context.Context, op *socketOp, body []byte) bool {
	var late <-chan time.Time
	for {
		queued, room := s.enqueue(op, body)
		if room == nil {
			return queued
		}
		if late == nil {
			var stop func()
			late, stop = s.edge.opts.Clock.After(s.edge.limits.Write)
			defer stop()
		}
		select {
		case <-room:
		case <-ctx.Done():
			return false
		case <-late:
			s.close(closeTryAgain, reasonTooSlow)
			return false
		}
	}
}

// tell queues a message about the connection. The reader sends it and must not wait: a
// client that asks without reading is cut.
func (s *socket) tell(body []byte) {
	if _, room := s.enqueue(nil, body); room != nil {
		s.close(closeTryAgain, reasonTooSlow)
	}
}

// enqueue queues a message, or returns a channel that is closed when there may be room.
func (s *socket) enqueue(op *socketOp, body []byte) (queued bool, room <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing != nil || op != nil && op.stopped {
		return false, nil
	}
	l := &s.edge.limits
	if len(s.queue) >= l.QueuedMessages || len(s.queue) > 0 && s.queued+len(body) > l.QueuedBytes {
		if s.room == nil {
			s.room = make(chan struct{})
		}
		return false, s.room
	}
	s.enqueueLocked(op, body)
	return true, nil
}

func (s *socket) enqueueLocked(op *socketOp, body []byte) {
	s.queue = append(s.queue, frame{op, body})
	s.queued += len(body)
	s.signal()
}

// freed wakes the operations that wait for room; the caller holds mu.
func (s *socket) freed() {
	if s.room != nil {
		close(s.room)
		s.room = nil
	}
}

func (s *socket) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// close ends the socket; the first reason stays.
func (s *socket) close(code websocket.StatusCode, reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closeLocked(&closing{code: code, reason: short(reason)})
}

func (s *socket) closeLocked(c *closing) {
	if s.closing != nil {
		return
	}
	s.closing = c
	if !c.flush {
		s.queue, s.queued = nil, 0
	}
	s.freed()
	s.signal()
}

func (s *socket) isClosing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closing != nil
}

// short keeps a reason within the 123 bytes of a close frame.
func short(reason string) string {
	const most = 123
	if len(reason) <= most {
		return reason
	}
	cut := most
	for !utf8.RuneStart(reason[cut]) {
		cut--
	}
	return reason[:cut]
}

// startDrain refuses new operations and closes once no query or mutation runs.
func (s *socket) startDrain() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drain = true
	s.goIfDrained()
}

func (s *socket) goIfDrained() {
	if s.drain && s.busy == 0 {
		s.closeLocked(&closing{code: closeGoingAway, reason: "Going away", flush: true})
	}
}

// pop takes the next message to send; done says that the socket is to be closed now.
func (s *socket) pop() (f frame, ok bool, done *closing) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.queue) > 0 {
		s.freed()
	}
	for len(s.queue) > 0 {
		f, s.queue = s.queue[0], s.queue[1:]
		s.queued -= len(f.body)
		if len(s.queue) == 0 {
			s.queue = nil
		}
		if f.op == nil || !f.op.stopped {
			return f, true, nil
		}
	}
	return frame{}, false, s.closing
}

func (s *socket) pending() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.queue) > 0 || s.closing != nil
}

// write is the only goroutine that sends, keeps time and closes.
func (s *socket) write(late <-chan time.Time) {
	defer s.cancel()
	w := &watch{}
	started := false
	defer func() {
		if started {
			w.stop()
		}
	}()
	draining := s.edge.draining
	for {
		select { // an ended session outranks a message that waits
		case <-w.expired:
			s.close(closeForbidden, "Forbidden: token expired")
		case <-w.revoked:
			s.close(closeForbidden, "Forbidden: session ended")
			w.revoked = nil
		default:
		}
		work := s.wakeOr()
		select {
		case <-work:
			f, ok, done := s.pop()
			switch {
			case ok:
				if !s.send(f.body) {
					return
				}
			case done != nil:
				s.cancel() // the operations end while the peer says goodbye
				_ = s.conn.Close(done.code, done.reason)
				return
			}
		case <-s.ctx.Done(): // the reader is through
			_ = s.conn.CloseNow()
			return
		case <-late:
			if !started {
				s.close(closeInitTimeout, reasonInitTimeout)
			}
		case w = <-s.acked:
			started, late = true, nil
		case <-w.expired:
			s.close(closeForbidden, "Forbidden: token expired")
		case <-w.revoked:
			s.close(closeForbidden, "Forbidden: session ended")
			w.revoked = nil
		case <-w.ping:
			if !s.heard.Swap(false) {
				s.close(closeTryAgain, "No answer to ping")
				continue
			}
			w.rearm()
			s.tell([]byte(`{"type":"ping"}`))
		case <-draining:
			draining = nil
			s.startDrain()
		case <-s.edge.killed:
			_ = s.conn.CloseNow()
			return
		}
	}
}

// wakeOr is ready at once when there is something to do, else when something comes.
func (s *socket) wakeOr() <-chan struct{} {
	if s.pending() {
		return always
	}
	return s.wake
}

// send writes one message now or never.
func (s *socket) send(body []byte) bool {
	ctx, cancel := context.WithTimeout(context.Background(), s.edge.limits.Write)
	defer cancel()
	if err := s.conn.Write(ctx, websocket.MessageText, body); err != nil {
		_ = s.conn.CloseNow()
		return false
	}
	return true
}
