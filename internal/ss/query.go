package ss

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// Query is what a process is asked for.
type Query struct {
	Filter string
	TCP    bool   // and UDP: neither is both
	UDP    bool   //
	States States // that are shown if the filter names none; default StatesOpen
	Info   bool   // Entry.Info and Memory too
	// Sort is the name of a number, the largest first, or with a minus in front the smallest. Only as many as Top are sent then, at most
	// MaxTop.
	Sort string
	Top  int
	Raw  bool // Answer.Entry is not wanted, only its JSON
}

// MaxTop is how many connections the server sorts, at most: it has to remember them.
const MaxTop = 10_000

// values returns the query as the parameters of a request.
func (q *Query) values() url.Values {
	v := url.Values{}
	set := func(name, value string, on bool) {
		if on {
			v.Set(name, value)
		}
	}
	set("filter", q.Filter, q.Filter != "")
	set("tcp", "1", q.TCP)
	set("udp", "1", q.UDP)
	set("info", "1", q.Info)
	set("states", strconv.Itoa(int(q.States)), q.States != 0)
	set("sort", q.Sort, q.Top > 0)
	set("top", strconv.Itoa(q.Top), q.Top > 0)
	return v
}

// parseQuery reads the parameters of a request, which may come from anybody.
func parseQuery(v url.Values) (q Query, err error) {
	for name, values := range v {
		if len(values) != 1 {
			return q, fmt.Errorf("parameter %q is given %d times", clip(name), len(values))
		}
		s := values[0]
		switch name {
		case "filter":
			q.Filter = s
		case "tcp":
			q.TCP, err = parseBool(name, s)
		case "udp":
			q.UDP, err = parseBool(name, s)
		case "info":
			q.Info, err = parseBool(name, s)
		case "states":
			q.States, err = parseStates(s)
		case "sort":
			if q.Sort = s; findNumber(strings.TrimPrefix(s, "-")) == nil {
				err = fmt.Errorf("sort=%q: nothing is called that", clip(s))
			}
		case "top":
			if q.Top, err = strconv.Atoi(s); err != nil || q.Top < 1 || q.Top > MaxTop {
				err = fmt.Errorf("top=%q: want 1 to %d", clip(s), MaxTop)
			}
		default:
			err = fmt.Errorf("no parameter is called %q", clip(name))
		}
		if err != nil {
			return q, err
		}
	}
	if q.Top > 0 && q.Sort == "" {
		q.Sort = numbers[0].name
	}
	return q, nil
}

func parseBool(name, s string) (bool, error) {
	b, err := strconv.ParseBool(s)
	if err != nil {
		return false, fmt.Errorf("%s=%q: want 0 or 1", name, clip(s))
	}
	return b, nil
}

// parseStates reads a bit set or a comma-separated list of names.
func parseStates(s string) (set States, err error) {
	if n, err := strconv.ParseUint(s, 10, 16); err == nil {
		return States(n) & StatesAll, nil
	}
	for name := range strings.SplitSeq(s, ",") {
		more, ok := namedStates(name)
		if !ok {
			return 0, fmt.Errorf("states: no state is called %q: want some of %s", clip(name), strings.Join(StateNames(), ", "))
		}
		set |= more
	}
	return set, nil
}

// clip bounds what is repeated of what somebody sent.
func clip(s string) string {
	if len(s) > 40 {
		return s[:40] + "…"
	}
	return s
}
