package web

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/net/netutil"
)

// Listener says where a site is given over TCP.
type Listener struct {
	// Address is ADDR:PORT. ADDR is an IP address or localhost; without one it is 127.0.0.1.
	Address string
	// Anyone lets Address be one that other hosts reach.
	Anyone bool
	// Profiles has /debug/pprof/ too.
	Profiles bool
}

// Validate finds mistakes.
func (l *Listener) Validate() error {
	_, err := l.address()
	return err
}

// address returns where to listen.
func (l *Listener) address() (netip.AddrPort, error) {
	host, port, err := net.SplitHostPort(l.Address)
	if err != nil && !strings.Contains(l.Address, ":") {
		host, port, err = "", l.Address, nil
	}
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("the web address %q: want ADDR:PORT, such as 127.0.0.1:9290", l.Address)
	}
	if host == "" || host == "localhost" {
		host = "127.0.0.1"
	}
	at, err := netip.ParseAddrPort(net.JoinHostPort(host, port))
	if err != nil {
		return at, fmt.Errorf("the web address %q: want an IP address and a port, such as 127.0.0.1:9290", l.Address)
	}
	if !at.Addr().IsLoopback() && !l.Anyone {
		return at, fmt.Errorf("the web address %s can be reached from other hosts, and who reaches it sees all connections: there is no "+
			"password; use 127.0.0.1 behind a proxy that asks for one, or --web-anyone if the network keeps others away", at)
	}
	return at, nil
}

// maxClients is how many connections of clients there may be at once; others wait. One that says nothing is closed after 10 s.
const maxClients = 128

// Server gives a site over TCP.
type Server struct {
	listener net.Listener
	http     *http.Server
}

// Listen opens the port. From then on clients can connect, and are answered once Run runs. The site is on a socket of the kernel.
func (s *Site) Listen(cfg Listener) (*Server, error) {
	at, err := cfg.address()
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", at.String())
	if err != nil {
		return nil, fmt.Errorf("web: %w", err)
	}
	return &Server{
		listener: netutil.LimitListener(l, maxClients),
		http: &http.Server{
			Handler: s.handler(cfg), ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 20 * time.Second, IdleTimeout: time.Minute,
			WriteTimeout:   2 * time.Minute, // a profile takes its time
			MaxHeaderBytes: 16 << 10,
		},
	}, nil
}

// Address returns where it listens.
func (s *Server) Address() string { return s.listener.Addr().String() }

// Close closes the port of a server that does not run.
func (s *Server) Close() error { return s.listener.Close() }

// End closes the port of a server that runs, whose Run then returns.
func (s *Server) End() { _ = s.http.Close() }

// Run answers until ctx is done.
func (s *Server) Run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { _ = s.http.Close() })
	defer stop()
	if err := s.http.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("web: %s: %w", s.Address(), err)
	}
	return nil
}

// handler is what TCP clients get.
func (s *Site) handler(cfg Listener) http.Handler {
	mux := http.NewServeMux()
	for pattern, h := range s.endpoints() {
		mux.Handle(pattern, guard(h))
	}
	if cfg.Profiles {
		for pattern, h := range profiles {
			mux.Handle(pattern, h)
		}
	}
	if cfg.Anyone {
		return mux
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !direct(r.Host) {
			http.Error(w, "this is only for "+cfg.Address+": ask for it by that address", http.StatusMisdirectedRequest)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// direct reports whether a request was meant for this host by its address. A page of somebody else's, in a browser on this host, can have
// its own name lead here (DNS rebinding); the name is then in the request.
func direct(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	if host == "localhost" {
		return true
	}
	_, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil
}

// policy lets a page have nothing but what comes from here, and be in no frame.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// guard sets the headers that keep a browser from being used against the site.
func guard(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		head := w.Header()
		head.Set("Content-Security-Policy", policy)
		head.Set("X-Content-Type-Options", "nosniff")
		head.Set("Referrer-Policy", "no-referrer")
		head.Set("Cross-Origin-Resource-Policy", "same-origin")
		head.Set("Cache-Control", "no-store")
		h.ServeHTTP(w, r)
	})
}
