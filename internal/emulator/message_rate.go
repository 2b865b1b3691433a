package emulator

import "time"

// line is the queue of one sender. A sender without a rate never waits and has none.
type line struct {
	rate    float64 // parts per second, 0 is no limit
	waiting []*message
	backlog int       // parts accepted and not yet sent
	next    time.Time // when the next may go
	timer   *timer
}

// wait is how long a message that comes now would wait.
func (l *line) wait() time.Duration {
	if l == nil || l.rate <= 0 {
		return 0
	}
	return time.Duration(float64(l.backlog) / l.rate * float64(time.Second))
}

// SetMessageRate sets how many parts per second a sender (E.164 or alphanumeric) sends; ""
// is every sender without a rate of its own. 0 is no limit. What waits follows the new rate.
func (e *Emulator) SetMessageRate(sender string, perSecond float64) {
	perSecond = max(perSecond, 0)
	e.do(func() {
		if sender == "" {
			e.o.MessagesPerSecond = perSecond
			for from, l := range e.lines {
				if _, own := e.rates[from]; !own {
					l.rate = perSecond
					e.pace(l)
				}
			}
			return
		}
		e.rates[sender] = perSecond
		if l := e.lines[sender]; l != nil {
			l.rate = perSecond
			e.pace(l)
		}
	})
}

// lineOf is the queue of a sender, nil where it has no rate.
func (e *Emulator) lineOf(from string) *line {
	if l := e.lines[from]; l != nil {
		return l
	}
	rate, own := e.rates[from]
	if !own {
		rate = e.o.MessagesPerSecond
	}
	if rate <= 0 || from == "" {
		return nil
	}
	l := &line{rate: rate}
	e.lines[from] = l
	return l
}

// parts is what a message takes of its sender's rate.
func (m *message) parts() int {
	if m.mms {
		return 1
	}
	return m.segments
}

// reserve counts a message to its sender's backlog, release takes it out again.
func (e *Emulator) reserve(m *message) {
	if l := e.lineOf(m.from); l != nil && m.line == nil {
		m.line = l
		l.backlog += m.parts()
	}
}

func (e *Emulator) release(m *message) {
	if m.line != nil {
		m.line.backlog -= m.parts()
		m.line = nil
	}
}

// enqueueMessage sends a message when its sender may, and lets it fail when it has waited
// longer than it is worth something.
func (e *Emulator) enqueueMessage(m *message) {
	e.reserve(m)
	l := m.line
	if l == nil {
		e.transmit(m)
		return
	}
	l.waiting = append(l.waiting, m)
	m.timer = e.after(m.validity, func() { e.failMessage(m, failed, 30001) })
	e.pace(l)
}

// pace sends what may go and sets the timer for the next.
func (e *Emulator) pace(l *line) {
	e.drop(l.timer)
	l.timer = nil
	for len(l.waiting) > 0 {
		m := l.waiting[0]
		if m.status != queued { // it has expired
			l.waiting = l.waiting[1:]
			continue
		}
		if l.rate > 0 && l.next.After(e.at) {
			l.timer = e.when(l.next, func() { e.pace(l) })
			return
		}
		l.waiting[0] = nil
		l.waiting = l.waiting[1:]
		if l.rate > 0 {
			if e.at.After(l.next) {
				l.next = e.at
			}
			l.next = l.next.Add(time.Duration(float64(m.parts()) / l.rate * float64(time.Second)))
		}
		e.drop(m.timer)
		e.transmit(m)
	}
}
