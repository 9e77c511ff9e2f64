package load

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/internal/clock"
)

func TestConfigErrors(t *testing.T) {
	good := func() Config { return Config{Targets: targets(80)} }
	for _, tt := range []struct {
		says   string
		change func(c *Config)
	}{
		{"no target", func(c *Config) { c.Targets = nil }},
		{"IPv4", func(c *Config) { c.Targets[0].Addr = netip.MustParseAddrPort("[2001:db8::1]:80") }},
		{"a port", func(c *Config) { c.Targets[0].Addr = server(0) }},
		{"weight", func(c *Config) { c.Targets[0].Weight = maxWeight + 1 }},
		{"no mode", func(c *Config) { c.Mode = numModes }},
		{"no protocol", func(c *Config) { c.Protocol = UDP + 1 }},
		{"for TCP", func(c *Config) { c.Mode = Upload }},
		{"no rate", func(c *Config) { c.Mode, c.Protocol, c.Phases = Upload, Echo, constant(1, time.Second) }},
		{"UDP has no connections", func(c *Config) { c.Mode, c.Protocol = Connections, UDP }},
		{"TLS is for HTTP", func(c *Config) { c.Protocol, c.TLS = Echo, &tls.Config{} }},
		{"no pipeline over TLS", func(c *Config) { c.Pipeline, c.TLS = 2, &tls.Config{} }},
		{"no payload", func(c *Config) { c.NoPayload = true }},
		{"payload is empty", func(c *Config) { c.Protocol, c.Payload = Echo, []byte{} }},
		{"payload of -1", func(c *Config) { c.Size = -1 }},
		{"connections", func(c *Config) { c.Connections = maxConnections + 1 }},
		{"a pipeline of", func(c *Config) { c.Pipeline = maxPipeline + 1 }},
		{"has no pipeline", func(c *Config) { c.Mode, c.Pipeline = Connections, 2 }},
		{"have no numbers", func(c *Config) { c.Protocol, c.Payload, c.Pipeline = UDP, []byte("x"), 2 }},
		{"worker 3 of 3", func(c *Config) { c.Worker, c.Workers = 3, 3 }},
		{"MaxWaiting", func(c *Config) { c.MaxWaiting = -1 }},
		{"phase 0", func(c *Config) { c.Phases = []Phase{{1, 1, 0}} }},
		{"phase 1", func(c *Config) { c.Phases = []Phase{{1, 1, 1}, {-1, 1, 1}} }},
		{"negative", func(c *Config) { c.Drain = -1 }},
		{"all of the run", func(c *Config) { c.Duration, c.WarmUp = time.Second, time.Second }},
		{"Interval", func(c *Config) { c.Mode, c.Phases = Hold, constant(1, time.Second) }},
		{"think time", func(c *Config) { c.Phases, c.Think = constant(1, time.Second), time.Second }},
		{"the method", func(c *Config) { c.Request.Method = "GET /" }},
		{"the method", func(c *Config) { c.Request.Method = "CONNECT" }},
		{"the path", func(c *Config) { c.Targets[0].Path = "a" }},
		{"the path", func(c *Config) { c.Targets[0].Path = "/a b" }},
		{"header field", func(c *Config) { c.Request.Header = []Field{{"A", "b\r\nC: d"}} }},
		{"header field", func(c *Config) { c.Request.Header = []Field{{"A B", "c"}} }},
		{"generator's own", func(c *Config) { c.Request.Header = []Field{{"Content-Length", "5"}} }},
	} {
		c := good()
		tt.change(&c)
		if err := Check(c); !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%v, want one about %q", err, tt.says)
		}
	}
	if err := Check(good()); err != nil {
		t.Error(err)
	}
}

// What is sent is what net/http reads.
func TestRequestBytes(t *testing.T) {
	for _, tt := range []struct {
		name   string
		r      Request
		target Target
		last   bool
		want   string // method, host, path, X-A, body, close
	}{
		{"default", Request{Method: "GET"}, Target{Addr: server(80)}, false, "GET 10.0.0.1 / [] false"},
		{"port", Request{Method: "GET"}, Target{Addr: server(8080), Path: "/a?b=c"}, true, "GET 10.0.0.1:8080 /a?b=c [] true"},
		{"host", Request{Method: "GET", Header: []Field{{"host", "other"}, {"X-A", "b"}}}, Target{Addr: server(80), Host: "name"}, false,
			"GET other / [b] false"},
		{"POST", Request{Method: "POST", Body: []byte("hello")}, Target{Addr: server(80), Host: "name"}, false, "POST name / [] hello false"},
		{"POST nothing", Request{Method: "POST"}, Target{Addr: server(80), Host: "name"}, false, "POST name / [] false"},
	} {
		b, err := tt.r.build(&tt.target, tt.last)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		r := bufio.NewReader(bytes.NewReader(b))
		got, err := http.ReadRequest(r)
		if err != nil {
			t.Errorf("%s: %v in %q", tt.name, err, b)
			continue
		}
		body, _ := io.ReadAll(got.Body)
		words := []string{got.Method, got.Host, got.RequestURI, "[" + got.Header.Get("X-A") + "]", string(body), map[bool]string{true: "true", false: "false"}[got.Close]}
		words = slices.DeleteFunc(words, func(s string) bool { return s == "" })
		if rest, _ := io.ReadAll(r); strings.Join(words, " ") != tt.want || len(rest) > 0 {
			t.Errorf("%s: %q, %d bytes more, want %q", tt.name, strings.Join(words, " "), len(rest), tt.want)
		}
	}
}

func TestRotation(t *testing.T) {
	order, err := rotation([]Target{{Weight: 3}, {}, {Weight: 2}})
	if err != nil || !slices.Equal(order, []uint16{0, 2, 0, 1, 2, 0}) {
		t.Errorf("%v, %v", order, err)
	}
	many := make([]Target, 100)
	for i := range many {
		many[i].Weight = maxWeight
	}
	if _, err := rotation(many); !errors.Is(err, ErrConfig) {
		t.Errorf("weights of %d: %v", 100*maxWeight, err)
	}
}

func TestTimesQueue(t *testing.T) {
	q := times{max: 100}
	for i := range 100 {
		if !q.push(clock.Time(i)) {
			t.Fatalf("no room for %d", i)
		}
		if i%3 == 0 {
			q.pushFront(q.pop())
		}
	}
	if q.push(0) {
		t.Error("more than max fit")
	}
	q.pushFront(-1)
	for want := clock.Time(-1); q.n > 0; want++ {
		if got := q.pop(); got != want {
			t.Fatalf("%d, want %d", got, want)
		}
	}
}
