package show

import (
	"fmt"
	"strings"

	"github.com/xdpstack/xdpstack/bench/internal/result"
)

// links says over what kind of link the benchmarks went, each kind once.
func links(r *result.Report) []string {
	var order []string
	by := make(map[string][]string)
	for _, b := range r.Benchmarks {
		for _, l := range linksOf(b) {
			if by[l.text] == nil {
				order = append(order, l.text)
			}
			by[l.text] = append(by[l.text], l.who)
		}
	}
	var out []string
	for _, text := range order {
		out = append(out, fmt.Sprintf("link of %s: %s", strings.Join(by[text], "; "), text))
	}
	return out
}

type link struct{ who, text string }

// linksOf are the links of a benchmark, with the sides where they are not all alike.
func linksOf(b *result.Benchmark) []link {
	var order []string
	sides := make(map[string][]string)
	for _, s := range b.Sides {
		if s.Link == "" {
			continue
		}
		if sides[s.Link] == nil {
			order = append(order, s.Link)
		}
		sides[s.Link] = append(sides[s.Link], s.Name)
	}
	var out []link
	for _, text := range order {
		who := b.Name
		if len(order) > 1 {
			who += " (" + strings.Join(sides[text], "; ") + ")"
		}
		out = append(out, link{who, text})
	}
	return out
}
