package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"syscall"
	"time"

	"switchboard/internal/errs"
)

// ErrInside is what a dial to a guarded address ends with.
var ErrInside = errors.New("the address is not on the public internet")

// inside are the networks that a URL given by a person must not reach, beyond
// those that netip knows. IPv6 is allowed in 2000::/3 only, less what carries an
// IPv4 address within.
var inside = func() (p []netip.Prefix) {
	for _, s := range []string{
		"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24",
		"203.0.113.0/24", "240.0.0.0/4", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20",
	} {
		p = append(p, netip.MustParsePrefix(s))
	}
	return p
}()

var ipv6Internet = netip.MustParsePrefix("2000::/3")

// Public reports whether an address is on the public internet.
func Public(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	if !a.IsGlobalUnicast() || a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast() {
		return false
	}
	if a.Is6() && !ipv6Internet.Contains(a) {
		return false
	}
	for _, p := range inside {
		if p.Contains(a) {
			return false
		}
	}
	return true
}

// GuardedTransport connects to public addresses only, whatever a name resolves
// to at that moment, and through no proxy. loopback, for tests and development,
// lets it reach this machine too.
func GuardedTransport(loopback bool) *http.Transport {
	d := &net.Dialer{Timeout: 5 * time.Second, Control: func(_, address string, _ syscall.RawConn) error {
		ap, err := netip.ParseAddrPort(address)
		if err != nil {
			return ErrInside
		}
		if Public(ap.Addr()) || loopback && ap.Addr().Unmap().IsLoopback() {
			return nil
		}
		return ErrInside
	}}
	return &http.Transport{
		DialContext: d.DialContext, TLSHandshakeTimeout: 5 * time.Second, ResponseHeaderTimeout: 10 * time.Second,
		MaxIdleConns: 16, IdleConnTimeout: 30 * time.Second, MaxResponseHeaderBytes: 64 << 10, DisableCompression: true,
		ForceAttemptHTTP2: true,
	}
}

// FetchOptions configure a Fetcher; the zero value is production.
type FetchOptions struct {
	Limit    int64         // bytes; 0 is 10 MB
	Timeout  time.Duration // for all of a file; 0 is 10 seconds
	Loopback bool          // tests and development: this machine and any port may be asked
}

// Fetcher reads files from URLs that people give, from the public internet only.
type Fetcher struct {
	o      FetchOptions
	client *http.Client
}

// NewFetcher makes a Fetcher.
func NewFetcher(o FetchOptions) *Fetcher {
	if o.Limit == 0 {
		o.Limit = 10 << 20
	}
	if o.Timeout == 0 {
		o.Timeout = 10 * time.Second
	}
	f := &Fetcher{o: o}
	f.client = &http.Client{Transport: GuardedTransport(o.Loopback), Timeout: o.Timeout, CheckRedirect: func(req *http.Request, via []*http.Request) error {
		if len(via) > 3 {
			return errs.New(errs.Invalid, "the address leads to another one too often")
		}
		if via[len(via)-1].URL.Scheme == "https" && req.URL.Scheme != "https" {
			return errs.New(errs.Invalid, "the address leads from https to http")
		}
		req.Header.Del("Referer")
		return f.check(req.URL)
	}}
	return f
}

// Close closes the idle connections.
func (f *Fetcher) Close() { f.client.CloseIdleConnections() }

// Limit is how large a file may be.
func (f *Fetcher) Limit() int64 { return f.o.Limit }

// check refuses what is no plain web address.
func (f *Fetcher) check(u *url.URL) error {
	switch {
	case u.Scheme != "https" && u.Scheme != "http":
		return errs.New(errs.Invalid, "enter a web address that begins with https://")
	case u.Hostname() == "":
		return errs.New(errs.Invalid, "the web address has no host")
	case u.User != nil:
		return errs.New(errs.Invalid, "the web address must not hold a user name or password")
	case !f.o.Loopback && u.Port() != "" && u.Port() != "443" && u.Port() != "80":
		return errs.New(errs.Invalid, "the web address must not name a port")
	}
	return nil
}

// Check returns an error when Fetch would refuse the address unseen. Code: errs.Invalid.
func (f *Fetcher) Check(address string) error {
	_, err := f.parse(address)
	return err
}

func (f *Fetcher) parse(address string) (*url.URL, error) {
	if len(address) > 2048 {
		return nil, errs.New(errs.Invalid, "the web address is too long")
	}
	u, err := url.Parse(address)
	if err != nil {
		return nil, errs.New(errs.Invalid, "this is not a web address")
	}
	return u, f.check(u)
}

// Fetch opens the file at a URL that a person gave. Close the body. Reading it
// past the limit gives errs.LimitReached. Code for all that is wrong with the
// address or its server: errs.Invalid.
func (f *Fetcher) Fetch(ctx context.Context, address string) (io.ReadCloser, error) {
	u, err := f.parse(address)
	if err != nil {
		return nil, err
	}
	u.Fragment = ""
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, errs.New(errs.Invalid, "this is not a web address")
	}
	req.Header.Set("User-Agent", "switchboard")
	req.Header.Set("Accept", "audio/*, image/*")
	resp, err := f.client.Do(req)
	if err != nil {
		return nil, f.explain(ctx, err)
	}
	switch {
	case resp.StatusCode != http.StatusOK:
		_ = resp.Body.Close()
		return nil, errs.New(errs.Invalid, "the server of the web address answered %d instead of the file", resp.StatusCode)
	case resp.ContentLength > f.o.Limit:
		_ = resp.Body.Close()
		return nil, f.tooLarge()
	}
	return &download{f: f, ctx: ctx, body: resp.Body, left: f.o.Limit}, nil
}

func (f *Fetcher) tooLarge() error {
	return errs.New(errs.LimitReached, "the file is larger than %s", size(f.o.Limit))
}

func (f *Fetcher) explain(ctx context.Context, err error) error {
	var ne net.Error
	e, mine := errs.As(err)
	switch {
	case mine:
		return e
	case ctx.Err() != nil:
		return fmt.Errorf("blob: fetch: %w", ctx.Err())
	case errors.Is(err, ErrInside):
		return errs.New(errs.Invalid, "the web address is not on the public internet")
	case errors.As(err, &ne) && ne.Timeout():
		return errs.New(errs.Invalid, "the server of the web address took too long")
	}
	return errs.New(errs.Invalid, "the web address cannot be reached").Because(err)
}

// download is a body that ends with an error at the limit.
type download struct {
	f    *Fetcher
	ctx  context.Context //nolint:containedctx // it lives for one download
	body io.ReadCloser
	left int64
}

func (d *download) Read(p []byte) (int, error) {
	if int64(len(p)) > d.left+1 {
		p = p[:d.left+1]
	}
	n, err := d.body.Read(p)
	if int64(n) > d.left {
		n, err = int(d.left), d.f.tooLarge()
	}
	d.left -= int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		err = d.f.explain(d.ctx, err)
	}
	return n, err
}

func (d *download) Close() error { return d.body.Close() }
