package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/internal/netlab"
	"github.com/xdpstack/xdpstack/internal/report"
)

// runLoad runs load in the lab, and returns its result, nil if there is none.
func runLoad(t *testing.T, ctx context.Context, lab *netlab.Lab, args ...string) (code int, r *report.Result, out, errs string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "result.json")
	args = append(append([]string{"load", "--json", file}, linkArgs(lab)...), args...)
	code, out, errs = inside(ctx, lab, nil, args...)
	if _, err := os.Stat(file); err == nil {
		if r, err = report.ReadFile(file); err != nil {
			t.Fatal(err)
		}
	}
	return code, r, out, errs
}

// load against nginx on the kernel's TCP, in each of its modes.
func TestLoadNginx(t *testing.T) {
	lab := netlab.ForTest(t, netlab.Config{Name: "load"})
	root, _ := webRoot(t)
	nginx(t, lab, root)
	page := "http://" + lab.Kernel.Address.Addr().String() + "/page.html"
	for _, tt := range []struct {
		name, args string
		done       uint64 // at least
		connects   uint64 // at least
	}{
		{"open loop", "--rate 2k --duration 300ms", 600, 64},
		{"Poisson, with a warm-up", "--rate 2k --arrivals poisson --duration 400ms --warm-up 200ms", 250, 64},
		{"closed loop", "--requests 2000 --connections 8", 2000, 8},
		{"pipelined", "--requests 3000 --connections 2 --pipeline 8", 3000, 4}, // nginx ends each after 1000 requests
		{"connections", "--kind connections --rate 1k --duration 300ms", 300, 300},
		{"connections, reset", "--kind connections --requests 500 --reset", 500, 500},
		{"hold", "--kind hold --connections 100 --interval 100ms --duration 300ms", 300, 100},
		{"HEAD", "--requests 200 -X HEAD -H A:b", 200, 64},
		{"large", "--requests 3 --connections 1 " + strings.Replace(page, "page.html", "big.bin", 1), 3, 1},
		{"in turn", "--requests 200 " + page, 200, 64},
	} {
		t.Run(tt.name, func(t *testing.T) {
			args := strings.Fields(tt.args)
			if tt.name != "large" {
				args = append(args, page)
			}
			code, r, out, errs := runLoad(t, t.Context(), lab, append(args, "--expect", "errors<0.001%")...)
			if code != exitOK || r == nil {
				t.Fatalf("exit code %d\n%s%s", code, out, errs)
			}
			if r.Counters["done"] < tt.done || r.Counters["connects"] < tt.connects || r.Counters["status_2xx"] != r.Counters["done"] {
				t.Errorf("%v, %v", r.Counters, r.Errors)
			}
			if h := r.Histograms["total"]; uint64(h.TotalCount()) != r.Counters["done"] || h.Min() <= 0 {
				t.Errorf("%d latencies, the least is %d ns", h.TotalCount(), h.Min())
			}
		})
	}
}

// load against Go's net/http on the kernel's TCP, which sends what is long in chunks, and over TLS.
func TestLoadNetHTTP(t *testing.T) {
	lab := netlab.ForTest(t, netlab.Config{Name: "loadgo"})
	host := lab.Kernel.Address.Addr().String()
	ln, err := lab.Kernel.Listen("tcp", host+":80")
	if err != nil {
		t.Fatal(err)
	}
	secure, err := lab.Kernel.Listen("tcp", host+":443")
	if err != nil {
		t.Fatal(err)
	}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "POST" {
			_, _ = io.Copy(w, r.Body)
			return
		}
		for range 3 {
			_, _ = w.Write(make([]byte, 3000))
			w.(http.Flusher).Flush()
		}
	})
	plain := httptest.NewUnstartedServer(handler)
	plain.Listener = ln
	plain.Start()
	defer plain.Close()
	over := httptest.NewUnstartedServer(handler)
	over.Listener = secure
	over.StartTLS()
	defer over.Close()
	for _, tt := range []struct {
		name, args string
		done       uint64
	}{
		{"chunked", "--rate 1k --duration 300ms http://" + host + "/", 300},
		{"POST", "--requests 500 -c 8 -X POST --body hello http://" + host + "/", 500},
		{"connections", "--kind connections --rate 500 --duration 300ms http://" + host + "/", 150},
		{"TLS", "--insecure --rate 300 --duration 300ms -c 16 https://" + host + "/", 90},
		{"TLS, connections", "--insecure --kind connections --requests 20 -c 4 https://" + host + "/", 20},
	} {
		t.Run(tt.name, func(t *testing.T) {
			code, r, out, errs := runLoad(t, t.Context(), lab, append(strings.Fields(tt.args), "--expect", "errors<0.001%")...)
			if code != exitOK || r == nil || r.Counters["done"] != tt.done {
				t.Fatalf("exit code %d\n%s%s", code, out, errs)
			}
		})
	}
}

// What goes wrong is told by its reason, and the exit code tells that it did.
func TestLoadFailures(t *testing.T) {
	lab := netlab.ForTest(t, netlab.Config{Name: "loadbad"})
	host := lab.Kernel.Address.Addr()
	quiet, err := lab.Kernel.Listen("tcp", host.String()+":81")
	if err != nil {
		t.Fatal(err)
	}
	defer quiet.Close()
	nobody := host.Next().Next().Next()
	for _, tt := range []struct{ name, args, reason string }{
		{"refused", "--requests 50 http://" + host.String() + ":9/", "refused"},
		{"refused, open loop", "--kind connections --rate 500 --duration 200ms http://" + host.String() + ":9/", "refused"},
		{"no answer", "--requests 5 --timeout 200ms http://" + host.String() + ":81/", "request_timeout"},
		{"no ARP", "--kind connections --requests 5 --connections 5 --dial tcp://" + nobody.String() + ":7", "no_arp"},
		{"fail fast", "--fail-fast --rate 100 --duration 1m http://" + host.String() + ":9/", "refused"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			args := strings.Fields(strings.Replace(tt.args, "--dial ", "", 1))
			code, r, out, errs := runLoad(t, t.Context(), lab, append(args, "--expect", "errors<1%")...)
			if code != exitFailure || r == nil || r.Errors[tt.reason] == 0 || r.Counters["done"] != 0 {
				t.Fatalf("exit code %d, %+v\n%s%s", code, r, out, errs)
			}
			if !strings.Contains(out, tt.reason) {
				t.Errorf("the output does not tell of %s:\n%s", tt.reason, out)
			}
		})
	}
	code, _, _, errs := runLoad(t, t.Context(), lab, "--requests", "5", "http://"+host.String()+":9/")
	if code != exitFailure || !strings.Contains(errs, "nothing was answered") {
		t.Errorf("a run in vain, without --expect: exit code %d, %s", code, errs)
	}
	code, _, _, errs = runLoad(t, t.Context(), lab, "http://192.0.2.1/")
	if code != exitUsage || !strings.Contains(errs, "--i-own-this-network") {
		t.Errorf("a target elsewhere: exit code %d, %s", code, errs)
	}
}

// An interrupt ends the making of requests, not the result.
func TestLoadInterrupted(t *testing.T) {
	lab := netlab.ForTest(t, netlab.Config{Name: "loadint"})
	ln, err := lab.Kernel.Listen("tcp", lab.Kernel.Address.Addr().String()+":7")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go echo(c)
		}
	}()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second) // the stack takes 0.6 s to open, on a busy machine more
	defer cancel()
	code, r, out, errs := runLoad(t, ctx, lab, "--rate", "1k", "--duration", "1m", "tcp://"+ln.Addr().String())
	if code != exitOK || r == nil || r.Counters["done"] == 0 || r.Duration > 10*time.Second || len(r.Errors) != 0 {
		t.Fatalf("exit code %d, %+v\n%s%s", code, r, out, errs)
	}
}

func echo(c net.Conn) {
	defer c.Close()
	b := make([]byte, 4096)
	for {
		n, err := c.Read(b)
		if err != nil {
			return
		}
		if _, err := c.Write(b[:n]); err != nil {
			return
		}
	}
}
