package emulator

import (
	"cmp"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

func (q *queue) uri() string { return "/2010-04-01/Accounts/" + q.account.sid + "/Queues/" + q.sid }

func (q *queue) json() map[string]any {
	return map[string]any{"sid": q.sid, "account_sid": q.account.sid, "friendly_name": q.name, "current_size": len(q.members), "max_size": q.most,
		"average_wait_time": int(q.average() / time.Second), "date_created": rfc2822(q.created), "date_updated": rfc2822(q.updated), "uri": q.uri() + ".json"}
}

// queuesResource is Queues and their members.
func (e *Emulator) queuesResource(r *request) result {
	a := r.account
	if len(r.path) == 1 {
		switch r.Method {
		case http.MethodGet:
			return page(r, "queues", newestFirst(a.queues), func(q *queue) string { return q.sid }, (*queue).json)
		case http.MethodPost:
			q := &queue{account: a, most: 100}
			if bad := q.set(r); bad.status != 0 {
				return bad
			}
			return created(e.newQueue(a, q.name, q.most).json())
		}
		return e.unknownPath(r)
	}
	i := slices.IndexFunc(a.queues, func(q *queue) bool { return q.sid == r.path[1] })
	if i < 0 {
		return r.notFound()
	}
	q := a.queues[i]
	if len(r.path) > 2 {
		if r.path[2] != "Members" || len(r.path) > 4 {
			return e.unknownPath(r)
		}
		return e.members(r, q)
	}
	switch r.Method {
	case http.MethodPost:
		if bad := q.set(r); bad.status != 0 {
			return bad
		}
		q.updated = e.at
	case http.MethodDelete:
		if len(q.members) > 0 {
			return fail(20409, "a queue that is not empty cannot be deleted")
		}
		for _, t := range slices.Clone(q.takers) {
			e.endTaker(t, failed)
		}
		a.queues = slices.Delete(a.queues, i, i+1)
		return gone()
	}
	return ok(q.json())
}

// set writes what the request carries, or nothing.
func (q *queue) set(r *request) result {
	name, most := cmp.Or(r.get("FriendlyName"), q.name), q.most
	if n := len([]rune(name)); n == 0 || n > 64 {
		return fail(20001, "FriendlyName must have 1 to 64 characters")
	}
	if o := q.account.queue(name); o != nil && o != q {
		return fail(22003)
	}
	if v := r.get("MaxSize"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil || n < 1 || n > 5000 {
			return fail(20001, "MaxSize must be a number from 1 to 5000")
		}
		most = n
	}
	q.name, q.most = name, most
	return result{}
}

// members is who waits in a queue. An update with a Url takes the caller out of it.
func (e *Emulator) members(r *request, q *queue) result {
	show := func(p *place) map[string]any {
		return map[string]any{"queue_sid": q.sid, "call_sid": p.call.sid, "date_enqueued": rfc2822(p.since), "position": slices.Index(q.members, p) + 1,
			"wait_time": int(e.at.Sub(p.since) / time.Second), "uri": q.uri() + "/Members/" + p.call.sid + ".json"}
	}
	if len(r.path) == 3 {
		if r.Method != http.MethodGet {
			return e.unknownPath(r)
		}
		return page(r, "queue_members", q.members, func(p *place) string { return p.call.sid }, show)
	}
	i := slices.IndexFunc(q.members, func(p *place) bool { return p.call.sid == r.path[3] })
	if r.path[3] == "Front" && len(q.members) > 0 {
		i = 0
	}
	if i < 0 {
		return r.notFound()
	}
	p := q.members[i]
	switch r.Method {
	case http.MethodGet:
		return ok(show(p))
	case http.MethodPost:
		to := r.get("Url")
		if !webURL(to) {
			return fail(21205)
		}
		body := show(p)
		q.served++
		q.waited += e.at.Sub(p.since)
		c := p.call
		e.goneFrom(p, "redirected")
		c.gather, c.frame = nil, nil
		e.fetch(c, to, cmp.Or(strings.ToUpper(r.get("Method")), http.MethodPost), nil)
		return ok(body)
	}
	return e.unknownPath(r)
}
