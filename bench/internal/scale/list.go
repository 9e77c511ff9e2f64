package scale

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/xdpstack/xdpstack/internal/control"
	"github.com/xdpstack/xdpstack/internal/ss"
	"github.com/xdpstack/xdpstack/stack"
)

// Listed is what it took to list all connections of the server, as xdpstack ss does, with both ends of the control socket in the process.
type Listed struct {
	Connections int     `json:"connections"`
	Seconds     float64 `json:"seconds"`
	Bytes       float64 `json:"bytes"`  // of the answer
	Growth      float64 `json:"growth"` // bytes by which the process's resident memory grew meanwhile, at most
	Late        float64 `json:"late"`   // seconds that the longest request meanwhile had no answer
}

// list lists the server's connections with what TCP knows of them, while each is asked once in the interval.
func (g *gang) list(server *stack.Stack, cfg PairConfig) (l Listed, err error) {
	dir, err := os.MkdirTemp("", "xdpstack-bench-")
	if err != nil {
		return l, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	c, err := control.Listen(control.Config{Path: filepath.Join(dir, "s")})
	if err != nil {
		return l, err
	}
	c.HandleStream("GET "+ss.Path, func(w http.ResponseWriter, r *http.Request) error { return ss.Serve(server, w, r) })
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- c.Run(ctx) }()
	defer func() {
		cancel()
		err = errors.Join(err, <-served)
	}()
	if err := g.each(func(d *driver) { d.late = 0 }); err != nil {
		return l, err
	}
	asked := make(chan error, 1)
	go func() { asked <- g.ask(cfg.Connections, cfg.Interval) }()
	if err := l.take(ctx, control.Client{Path: c.Path()}); err != nil {
		return l, errors.Join(err, <-asked)
	}
	late, err := g.late()
	l.Late = late.Seconds()
	if l.Connections != cfg.Connections {
		err = fmt.Errorf("scale: %d connections were listed of %d", l.Connections, cfg.Connections)
	}
	return l, errors.Join(err, <-asked)
}

// take asks for all connections, and counts them.
func (l *Listed) take(ctx context.Context, c control.Client) error {
	before, began := resident(), time.Now()
	for a, err := range ss.Ask(ctx, c, ss.Query{TCP: true, Info: true, Raw: true}) {
		if err != nil {
			return err
		}
		l.Connections++
		l.Bytes += float64(len(a.JSON) + 1)
		if l.Connections%10_000 == 0 {
			l.Growth = max(l.Growth, resident()-before)
		}
	}
	l.Seconds = time.Since(began).Seconds()
	return nil
}

// resident returns how many bytes of memory the process has.
func resident() float64 {
	text, _ := os.ReadFile("/proc/self/statm")
	f := strings.Fields(string(text))
	if len(f) < 2 {
		return 0
	}
	pages, _ := strconv.ParseFloat(f[1], 64)
	return pages * float64(os.Getpagesize())
}
