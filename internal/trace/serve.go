package trace

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/xdpstack/xdpstack/internal/clock"
	"github.com/xdpstack/xdpstack/internal/control"
	"github.com/xdpstack/xdpstack/stack"
)

// Path is where Serve is to be asked.
const Path = "/trace"

// Query is what a process is asked for.
type Query struct {
	Tuple    string
	Conns    int           // connections that are traced, at most; default 1
	Interval time.Duration // between samples; default 10 ms
}

func parseQuery(v url.Values) (t Tuple, cfg stack.TraceConfig, err error) {
	for name, values := range v {
		s := values[0]
		switch {
		case len(values) != 1:
			err = fmt.Errorf("parameter %q is given %d times", clip(name), len(values))
		case name == "tuple":
			t, err = ParseTuple(s)
		case name == "conns":
			if cfg.Conns, err = strconv.Atoi(s); err != nil || cfg.Conns < 1 || cfg.Conns > stack.MaxTraceConns {
				err = fmt.Errorf("conns=%q: want 1 to %d", clip(s), stack.MaxTraceConns)
			}
		case name == "interval":
			if cfg.Interval, err = time.ParseDuration(s); err != nil || cfg.Interval <= 0 {
				err = fmt.Errorf("interval=%q: want a duration such as 10ms", clip(s))
			}
		default:
			err = fmt.Errorf("no parameter is called %q", clip(name))
		}
		if err != nil {
			return t, cfg, err
		}
	}
	if !v.Has("tuple") {
		return t, cfg, errors.New("which connections? tuple= is missing")
	}
	cfg.Match = t.Match
	return t, cfg, nil
}

// Serve answers a request with the events of a trace, in lines of JSON, until the asker has enough, or as many connections as it wanted
// have come to their end. An error that it returns is the asker's, or that there are too many traces.
func Serve(s *stack.Stack, w http.ResponseWriter, r *http.Request) error {
	_, cfg, err := parseQuery(r.URL.Query())
	if err != nil {
		return control.BadRequest{Err: err}
	}
	begin := clock.Now()
	t, err := s.Trace(r.Context(), cfg)
	if errors.Is(err, stack.ErrTooManyTraces) {
		return control.Error{Status: http.StatusServiceUnavailable, Message: err.Error()}
	}
	if err != nil {
		return err
	}
	defer t.Close()
	w.Header().Set("Content-Type", "application/x-ndjson")
	flush := http.NewResponseController(w).Flush
	if err := flush(); err != nil { // that it has begun
		return nil //nolint:nilerr // the asker has gone
	}
	left := max(cfg.Conns, 1)
	for out := json.NewEncoder(w); left > 0; {
		select {
		case <-r.Context().Done():
			return nil
		case <-t.Over():
			return nil
		case e := <-t.Events():
			if e.Kind == stack.TraceEnd {
				left--
			}
			if out.Encode(event(&e, begin, t.Dropped())) != nil {
				return nil
			}
		}
		if len(t.Events()) == 0 {
			if err := flush(); err != nil {
				return nil //nolint:nilerr // the asker has gone
			}
		}
	}
	return nil
}

// Answer is an event, and the JSON that it came as.
type Answer struct {
	Event
	JSON []byte
}

// maxLine bounds a line of an answer in bytes.
const maxLine = 1 << 16

// Ask asks a process. began is called when the trace runs, though nothing may happen yet. An error comes last.
func Ask(ctx context.Context, c control.Client, q Query, began func()) iter.Seq2[*Answer, error] {
	v := url.Values{"tuple": {q.Tuple}}
	if q.Conns != 0 {
		v.Set("conns", strconv.Itoa(q.Conns))
	}
	if q.Interval != 0 {
		v.Set("interval", q.Interval.String())
	}
	return func(yield func(*Answer, error) bool) {
		body, err := c.Stream(ctx, Path+"?"+v.Encode())
		if err != nil {
			yield(nil, err)
			return
		}
		defer body.Close()
		began()
		lines := bufio.NewScanner(body)
		lines.Buffer(make([]byte, 4096), maxLine)
		for lines.Scan() {
			a := &Answer{JSON: bytes.Clone(lines.Bytes())}
			if err := json.Unmarshal(a.JSON, &a.Event); err != nil {
				yield(nil, fmt.Errorf("trace: the answer is of another version of xdpstack: %w", err))
				return
			}
			if !yield(a, nil) {
				return
			}
		}
		if err := lines.Err(); err != nil {
			yield(nil, fmt.Errorf("trace: %w", err))
		}
	}
}
