package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/xdpstack/xdpstack/load"
)

// loadPlan is what the flags of load say about the load.
type loadPlan struct {
	kind, rate, ramp, step, arrivals string
	connections, pipeline            int
	requests                         uint64
	duration, warmUp                 time.Duration
	think, interval                  time.Duration
	connectTimeout, timeout, drain   time.Duration
	method, body                     string
	header                           []string
	size                             size
	weights                          []int
	reset, failFast, insecure        bool
	seed                             uint64
}

// defaultLoadTime is how long a run is that nothing else ends.
const defaultLoadTime = 10 * time.Second

// config returns what is to be done. Names of targets are looked up.
func (p *loadPlan) config(ctx context.Context, urls []string) (cfg load.Config, err error) {
	cfg = load.Config{Connections: p.connections, Pipeline: p.pipeline, Count: p.requests, Duration: p.duration, WarmUp: p.warmUp,
		Think: p.think, Interval: p.interval, ConnectTimeout: p.connectTimeout, RequestTimeout: p.timeout, Drain: p.drain, Reset: p.reset,
		FailFast: p.failFast, Seed: p.seed, Spread: true}
	if cfg.Mode, err = load.ParseMode(p.kind); err != nil {
		return cfg, usagef("--kind %s: want %s", p.kind, strings.Join(load.ModeNames(), ", "))
	}
	switch p.arrivals {
	case "constant":
	case "poisson":
		cfg.Arrivals = load.Poisson
	default:
		return cfg, usagef("--arrivals %s: want constant or poisson", p.arrivals)
	}
	if err := p.targets(ctx, &cfg, urls); err != nil {
		return cfg, err
	}
	if err := p.content(&cfg); err != nil {
		return cfg, err
	}
	return cfg, p.schedule(&cfg)
}

// schedule reads the rates.
func (p *loadPlan) schedule(cfg *load.Config) error {
	given := 0
	for _, f := range []string{p.rate, p.ramp, p.step} {
		if f != "" {
			given++
		}
	}
	if given > 1 {
		return usagef("--rate, --ramp and --step: give one of them")
	}
	if cfg.Duration == 0 && cfg.Count == 0 && p.step == "" {
		cfg.Duration = defaultLoadTime
	}
	rest := cfg.Duration
	if rest == 0 {
		rest = 10 * 365 * 24 * time.Hour // --requests ends it
	}
	switch {
	case p.rate != "":
		r, err := parseRate(p.rate)
		if err != nil {
			return usagef("--rate %s: %w", p.rate, err)
		}
		cfg.Phases = []load.Phase{{From: r, To: r, For: rest}}
	case p.ramp != "":
		ramp, err := parseLoadRamp(p.ramp)
		if err != nil {
			return usagef("--ramp %s: %w", p.ramp, err)
		}
		cfg.Phases = []load.Phase{ramp}
		if more := rest - ramp.For; more > 0 && p.duration > 0 {
			cfg.Phases = append(cfg.Phases, load.Phase{From: ramp.To, To: ramp.To, For: more})
		}
	case p.step != "":
		if p.duration > 0 {
			return usagef("--step says how long each step takes; --duration has nothing to add")
		}
		for _, step := range strings.Split(p.step, ",") {
			r, d, _ := strings.Cut(step, ":")
			rate, err := parseRate(r)
			length, err2 := time.ParseDuration(d)
			if err != nil || err2 != nil || length <= 0 {
				return usagef("--step %s: want a rate and a time in each step, such as 1k:10s,2k:10s", step)
			}
			cfg.Phases = append(cfg.Phases, load.Phase{From: rate, To: rate, For: length})
		}
	}
	if given > 0 {
		cfg.Duration = 0
	}
	return nil
}

func parseLoadRamp(s string) (p load.Phase, err error) {
	from, rest, ok := strings.Cut(s, "..")
	to, d, ok2 := strings.Cut(rest, "/")
	if !ok || !ok2 {
		return p, fmt.Errorf("want FROM..TO/TIME, such as 1k..50k/30s")
	}
	if p.From, err = parseRate(from); err != nil {
		return p, err
	}
	if p.To, err = parseRate(to); err != nil {
		return p, err
	}
	if p.For, err = time.ParseDuration(d); err != nil || p.For <= 0 {
		return p, fmt.Errorf("%q is no time: want 30s, for example", d)
	}
	return p, nil
}

// parseRate reads a number of requests in a second: 500, 10k, 1.5M, 10k/s.
func parseRate(s string) (float64, error) {
	digits, factor := strings.TrimSuffix(strings.TrimSpace(s), "/s"), 1.0
	switch {
	case strings.HasSuffix(digits, "k"):
		digits, factor = strings.TrimSuffix(digits, "k"), 1e3
	case strings.HasSuffix(digits, "M"):
		digits, factor = strings.TrimSuffix(digits, "M"), 1e6
	}
	n, err := strconv.ParseFloat(digits, 64)
	if err != nil || !(n >= 0) || n*factor > 1e9 {
		return 0, fmt.Errorf("want a number in a second, such as 500, 10k or 1.5M")
	}
	return n * factor, nil
}

// targets reads the URLs.
func (p *loadPlan) targets(ctx context.Context, cfg *load.Config, urls []string) error {
	if len(p.weights) > 0 && len(p.weights) != len(urls) {
		return usagef("--weights has %d numbers for %d targets", len(p.weights), len(urls))
	}
	scheme := ""
	for i, text := range urls {
		u, err := url.Parse(text)
		if err != nil || u.Host == "" {
			return usagef("%q is not a target such as http://192.0.2.10/, tcp://192.0.2.10:7 or udp://192.0.2.10:7", text)
		}
		if scheme != "" && u.Scheme != scheme {
			return usagef("%q: all targets are of one protocol, and the first is of %s", text, scheme)
		}
		scheme = u.Scheme
		t, err := loadTarget(ctx, u)
		if err != nil {
			return err
		}
		if len(p.weights) > 0 {
			if t.Weight = p.weights[i]; t.Weight < 1 {
				return usagef("--weights: %d is not above 0", t.Weight)
			}
		}
		cfg.Targets = append(cfg.Targets, t)
	}
	switch scheme {
	case "http":
	case "https":
		cfg.TLS = &tls.Config{InsecureSkipVerify: p.insecure}
	case "tcp":
		cfg.Protocol = load.Echo
	case "udp":
		cfg.Protocol = load.UDP
	}
	return nil
}

// loadTarget finds the address of a URL.
func loadTarget(ctx context.Context, u *url.URL) (t load.Target, err error) {
	port, ok := map[string]uint16{"http": 80, "https": 443, "tcp": 0, "udp": 0}[u.Scheme]
	if !ok {
		return t, usagef("%s: want http, https, tcp or udp", u)
	}
	if text := u.Port(); text != "" {
		n, err := strconv.ParseUint(text, 10, 16)
		if err != nil {
			return t, usagef("%s: no port %s", u, text)
		}
		port = uint16(n)
	}
	if port == 0 {
		return t, usagef("%s: which port? %s://%s:7, for example", u, u.Scheme, u.Host)
	}
	addr, err := netip.ParseAddr(u.Hostname())
	if err != nil {
		found, err := net.DefaultResolver.LookupNetIP(ctx, "ip4", u.Hostname())
		if err != nil {
			return t, fmt.Errorf("the target %s: %w", u.Hostname(), err)
		}
		addr = found[0].Unmap()
	}
	if !addr.Is4() {
		return t, usagef("%s: want an IPv4 address, the only version that is implemented", u)
	}
	t.Addr, t.Host = netip.AddrPortFrom(addr, port), u.Host
	if t.Path = u.EscapedPath(); t.Path == "" {
		t.Path = "/"
	}
	if u.RawQuery != "" {
		t.Path += "?" + u.RawQuery
	}
	return t, nil
}

// content reads what requests have in them.
func (p *loadPlan) content(cfg *load.Config) error {
	var body []byte
	if name, ok := strings.CutPrefix(p.body, "@"); ok {
		b, err := os.ReadFile(name)
		if err != nil {
			return fmt.Errorf("--body: %w", err)
		}
		body = b
	} else if p.body != "" {
		body = []byte(p.body)
	}
	if cfg.Protocol != load.HTTP {
		if p.method != "" || len(p.header) > 0 {
			return usagef("--method and --header are for HTTP")
		}
		cfg.Payload, cfg.Size = body, int(p.size)
		cfg.NoPayload = body == nil && p.size == 0 && cfg.Mode == load.Connections && cfg.Protocol == load.Echo
		return nil
	}
	if p.size != 0 {
		return usagef("--size is for tcp and udp: an HTTP request has a --body")
	}
	cfg.Request = load.Request{Method: p.method, Body: body}
	for _, h := range p.header {
		name, value, ok := strings.Cut(h, ":")
		if !ok {
			return usagef("--header %q: want NAME: VALUE", h)
		}
		cfg.Request.Header = append(cfg.Request.Header, load.Field{Name: strings.TrimSpace(name), Value: strings.TrimSpace(value)})
	}
	return nil
}
