// Package bench measures: how far the server is from SQL and JSON written by
// hand, over the same rows and on the same machine. Its rows are made up in SQL,
// the same for the same Scale, so that two runs compare.
//
// It is no part of the server. The invariant: what it reports is a ratio of two
// things measured in turns in one run, whose answers were compared first.
package bench

import (
	"context"
	"crypto/md5" // spreads the ids, guards nothing
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"

	"switchboard/internal/access"
	"switchboard/internal/id"
	"switchboard/internal/report"
	"switchboard/internal/route"
)

// Scale is how much is made up, spread evenly over the organizations.
type Scale struct {
	Organizations, Calls, Messages int
}

// Each organization has these, whatever the scale.
const (
	Branches = 3
	Numbers  = 12
	Users    = 25 // one administrator, then dispatchers, office, sales and fieldworkers
	Days     = 90 // of calls, up to Until
	perRing  = 3  // users of the ring group of a number
)

// Until is when the newest call was, and founded when everything else was made.
var (
	Until   = time.Date(2025, 6, 1, 0, 0, 0, 0, time.UTC)
	founded = Until.AddDate(-1, 0, 0)
)

// Zone is the time zone of every organization.
const Zone = "America/New_York"

// Contacts is how many contacts an organization has.
func (s Scale) Contacts() int { return min(max(s.Calls/s.Organizations/25, 40), 20_000) }

// Threads is how many SMS threads there are, of about 20 messages each.
func (s Scale) Threads() int { return max(s.Messages/20, s.Organizations*40) }

// Organization is the id of the organization with the index.
func (s Scale) Organization(o int) id.ID { return uid(id.Organization, founded, fmt.Sprint("o/", o)) }

// AdminEmail is the e-mail of the organization's administrator.
func (s Scale) AdminEmail(o int) string { return fmt.Sprintf("user-0.org-%d@bench.test", o) }

// uid is an id for a seed, ordered by time like those of id.New.
func uid(k id.Kind, at time.Time, seed string) id.ID {
	var b [16]byte
	sum := md5.Sum([]byte(seed))
	copy(b[6:], sum[:9])
	var ms [8]byte
	binary.BigEndian.PutUint64(ms[:], uint64(at.UnixMilli()))
	copy(b[:6], ms[2:])
	b[6], b[8], b[15] = b[6]&0x0f|0x70, b[8]&0x0f|0x80, byte(k)
	return id.FromUUID(b)
}

// sqlUID is uid as an expression of SQL; static ids get at as founded.
func sqlUID(k id.Kind, at, seed string) string {
	time := "lpad(to_hex((extract(epoch FROM " + at + ") * 1000)::bigint), 12, '0')"
	if at == "{founded}" {
		time = fmt.Sprintf("'%012x'", founded.UnixMilli())
	}
	return fmt.Sprintf(`(%s || overlay(overlay(substr(md5(%s), 1, 18) PLACING '7' FROM 1) PLACING '8' FROM 5) || '%02x')::uuid`, time, seed, byte(k))
}

func literal(at time.Time) string { return "timestamptz '" + at.Format(time.RFC3339) + "'" }

// words are what the statements below are written with.
func (s Scale) words() *strings.Replacer {
	return strings.NewReplacer(
		"{org}", sqlUID(id.Organization, "{founded}", "'o/' || o"),
		"{founded}", literal(founded), "{until}", literal(Until),
		"{orgs}", fmt.Sprint(s.Organizations), "{branches}", fmt.Sprint(Branches), "{numbers}", fmt.Sprint(Numbers), "{users}", fmt.Sprint(Users),
		"{contacts}", fmt.Sprint(s.Contacts()), "{calls}", fmt.Sprint(max(s.Calls, 1)), "{threads}", fmt.Sprint(s.Threads()),
		"{messages}", fmt.Sprint(s.Messages), "{days}", fmt.Sprint(Days), "{ring}", fmt.Sprint(perRing), "{zone}", Zone,
	)
}

// static is the id of what does not depend on the scale: the organization o's k-th.
func static(k id.Kind, letter string, o, i int) id.ID {
	return uid(k, founded, fmt.Sprintf("%s/%d/%d", letter, o, i))
}

// ref is static in SQL; the statement has a column o.
func ref(k id.Kind, letter, index string) string {
	return sqlUID(k, "{founded}", fmt.Sprintf("'%s/' || o || '/' || (%s)", letter, index))
}

// random is a number from 0 below n, the same for the same row.
func random(row string, salt, n any) string {
	return fmt.Sprintf("((hashint8extended(%s, %v) & x'7fffffffffffffff'::bigint) %% %v)", row, salt, n)
}

// Seed fills a migrated, empty database. The pool is the owner's, who sees every
// tenant and may vacuum; it needs two connections.
//
// Calls that are over have no facts: nothing will be told of them again.
func Seed(ctx context.Context, owner *pgxpool.Pool, s Scale) error {
	do := func(what, sql string, args ...any) error {
		if _, err := owner.Exec(ctx, s.words().Replace(sql), args...); err != nil {
			return fmt.Errorf("seeding %s: %w", what, err)
		}
		return nil
	}
	for _, step := range s.people() {
		if err := do(step.what, step.sql, step.args...); err != nil {
			return err
		}
	}
	// In slices, so that no statement holds all checks of foreign keys in memory; by two, for both cores.
	const slice = 25_000
	var group errgroup.Group
	group.SetLimit(2)
	routes, err := s.routes()
	if err != nil {
		return err
	}
	for from := 0; from < s.Calls; from += slice {
		group.Go(func() error {
			to := min(from+slice, s.Calls) - 1
			if err := do("calls", insertCalls, from, to, routes); err != nil {
				return err
			}
			for _, sql := range []string{insertLegs, insertRecordings, insertVoicemails} {
				if err := do("what belongs to calls", sql, from, to); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	if s.Messages > 0 {
		if err := do("threads", insertThreads); err != nil {
			return err
		}
	}
	for from := 0; from < s.Messages; from += slice {
		group.Go(func() error { return do("messages", insertMessages, from, min(from+slice, s.Messages)-1) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for o := range s.Organizations {
		if err := do("sums", report.FoldSQL, s.Organization(o), Zone, s.Calls); err != nil {
			return err
		}
	}
	return do("statistics", "VACUUM ANALYZE")
}

type step struct {
	what, sql string
	args      []any
}

// people are the organizations with all that is small.
func (s Scale) people() []step {
	each := "FROM generate_series(0, {orgs} - 1) o"
	with := func(n string) string { return each + " CROSS JOIN generate_series(0, " + n + " - 1) i" }
	user := func(i string) string { return ref(id.User, "user", i) }
	return []step{
		{what: "organizations", sql: `INSERT INTO organization (organization_id, name, time_zone, default_country, created_at, updated_at)
			SELECT {org}, 'Organization ' || o, '{zone}', 'US', {founded}, {founded} ` + each},
		{what: "roles", args: []any{access.All, []access.Permission{access.CallReceive, access.CallMake, access.CallView, access.SMSSend, access.SMSView, access.ContactView}},
			sql: `INSERT INTO role (organization_id, id, name, built_in, permissions, visibility, created_at, updated_at)
			SELECT {org}, ` + ref(id.Role, "role", "i") + `, (ARRAY['Admin', 'Dispatcher', 'Office', 'Sales', 'Fieldworker'])[i + 1],
				(ARRAY['ADMIN', 'DISPATCHER', 'OFFICE', 'SALES', 'FIELDWORKER'])[i + 1], CASE WHEN i < 2 THEN $1::text[] ELSE $2::text[] END,
				(ARRAY['ORGANIZATION', 'ORGANIZATION', 'BRANCH', 'BRANCH', 'OWN'])[i + 1], {founded}, {founded} ` + with("5")},
		{what: "logins", sql: `INSERT INTO system.login (id, email, created_at, updated_at)
			SELECT ` + ref(id.Login, "login", "i") + `, 'user-' || i || '.org-' || o || '@bench.test', {founded}, {founded} ` + with("{users}")},
		{what: "users", sql: `INSERT INTO "user" (organization_id, id, login_id, email, name, role_id, status, is_fieldworker, created_at, updated_at)
			SELECT {org}, ` + user("i") + `, ` + ref(id.Login, "login", "i") + `, 'user-' || i || '.org-' || o || '@bench.test',
				(ARRAY['Ann', 'Bob', 'Cleo', 'Dan', 'Eve'])[i % 5 + 1] || ' ' || (ARRAY['Adams', 'Brown', 'Clark', 'Davis', 'Evans'])[i / 5 + 1],
				` + ref(id.Role, "role", "CASE WHEN i = 0 THEN 0 WHEN i < 3 THEN 1 WHEN i < 11 THEN 2 WHEN i < 15 THEN 3 ELSE 4 END") + `,
				'ACTIVE', i >= 15, {founded} + make_interval(secs => i), {founded} ` + with("{users}")},
		{what: "phones", sql: `INSERT INTO user_phone (organization_id, id, user_id, label, e164, is_primary, created_at)
			SELECT {org}, ` + ref(id.UserPhone, "phone", "i") + `, ` + user("i") + `, 'Mobile', '+1646555' || lpad((o * 100 + i)::text, 4, '0'), true, {founded} ` + with("{users}")},
		{what: "devices", sql: `INSERT INTO device (organization_id, id, user_id, name, platform, registered_at, last_seen_at, created_at)
			SELECT {org}, ` + ref(id.Device, "device", "i") + `, ` + user("i / 2") + `, (ARRAY['Browser', 'Phone'])[i % 2 + 1], (ARRAY['WEB', 'IOS'])[i % 2 + 1],
				{founded}, {founded}, {founded} ` + with("2 * {users}")},
		{what: "branches", sql: `INSERT INTO branch (organization_id, id, name, time_zone, created_at, updated_at)
			SELECT {org}, ` + ref(id.Branch, "branch", "i") + `, (ARRAY['Downtown', 'Harbor', 'Airport'])[i + 1], '{zone}', {founded}, {founded} ` + with("{branches}")},
		{what: "branch members", sql: `INSERT INTO branch_user (organization_id, branch_id, user_id, created_at)
			SELECT {org}, ` + ref(id.Branch, "branch", "i % {branches}") + `, ` + user("i") + `, {founded} ` + with("{users}")},
		{what: "connections", sql: `INSERT INTO twilio_connection (organization_id, id, name, account_sid, account_type, account_status, created_at, updated_at)
			SELECT {org}, ` + ref(id.Connection, "conn", "0") + `, 'Main', 'AC' || md5('account/' || o), 'FULL', 'active', {founded}, {founded} ` + each},
		{what: "numbers", sql: `INSERT INTO phone_number (organization_id, id, connection_id, e164, twilio_sid, name, country, can_voice, can_sms, can_mms,
				is_enabled, is_default, branch_id, created_at, updated_at)
			SELECT {org}, ` + ref(id.PhoneNumber, "number", "i") + `, ` + ref(id.Connection, "conn", "0") + `, ` + numberE164("i") + `, 'PN' || md5('number/' || o || '/' || i),
				'Line ' || i, 'US', true, true, true, true, i = 0, ` + ref(id.Branch, "branch", "i % {branches}") + `, {founded} + make_interval(secs => i), {founded} ` + with("{numbers}")},
		{what: "contacts", sql: `INSERT INTO contact (organization_id, id, kind, name, company, email, country, tags, assigned_user_id, created_at, updated_at)
			SELECT {org}, ` + ref(id.Contact, "contact", "i") + `, CASE WHEN i % 4 = 0 THEN 'LEAD' ELSE 'CUSTOMER' END,
				(ARRAY['Grace', 'Hugo', 'Iris', 'Jack', 'Kate', 'Liam', 'Mona', 'Nils'])[i % 8 + 1] || ' ' || initcap(substr(md5('contact/' || i), 1, 7)),
				CASE WHEN i % 3 = 0 THEN initcap(substr(md5('company/' || i), 1, 9)) || ' Inc' END, 'contact-' || i || '@customer.test', 'US',
				CASE WHEN i % 5 = 0 THEN '{vip}'::text[] ELSE '{}' END, CASE WHEN i % 2 = 0 THEN ` + user("i % {users}") + ` END, {founded}, {founded} ` + with("{contacts}")},
		{what: "contact phones", sql: `INSERT INTO contact_phone (organization_id, contact_id, e164, label, is_primary, created_at)
			SELECT {org}, ` + ref(id.Contact, "contact", "i") + `, ` + contactE164("i") + `, 'Mobile', true, {founded} ` + with("{contacts}")},
	}
}

func numberE164(i string) string {
	return "'+1212555' || lpad((o * 100 + " + i + ")::text, 4, '0')"
}

func contactE164(i string) string {
	return "'+1415' || lpad((2000000 + o * 20000 + " + i + ")::text, 7, '0')"
}

// routes are the decisions of the numbers: number k of organization o at o*Numbers+k.
func (s Scale) routes() ([]string, error) {
	timeout := 25
	var out []string
	for o := range s.Organizations {
		for k := range Numbers {
			var targets []route.Target
			trace := []route.Trace{{Rule: "MODE_BRANCH", Verdict: route.Chosen, Detail: "the number routes by its branch"}}
			for i := range perRing {
				u := (2*k + i) % Users
				user, device := static(id.User, "user", o, u), static(id.Device, "device", o, 2*u)
				targets = append(targets, route.Target{LegID: static(id.Leg, "leg", o, k*perRing+i), Kind: route.Device, UserID: user, DeviceID: device, Address: device.String()})
				trace = append(trace, route.Trace{Rule: "BRANCH_MEMBER", Verdict: route.Included, Detail: "is in the branch's ring group and available", UserID: user})
			}
			b, err := json.Marshal(route.Decision{Mode: route.Branch, Steps: []route.Step{
				{Kind: route.Ring, Targets: targets, TimeoutSeconds: &timeout}, {Kind: route.Voicemail},
			}, Trace: trace})
			if err != nil {
				return nil, err
			}
			out = append(out, string(b))
		}
	}
	return out, nil
}
