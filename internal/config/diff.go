package config

import (
	"fmt"
	"reflect"
)

// Change is a setting that two configurations do not have in common.
type Change struct {
	Key  string `json:"key"`
	From string `json:"from"` // empty: it was not set
	To   string `json:"to"`   // empty: it is not set any more
	Live bool   `json:"live"` // it can be taken over at run time
}

// String is the change for people.
func (c Change) String() string {
	show := func(s string) string {
		if s == "" {
			return "(default)"
		}
		return s
	}
	return fmt.Sprintf("%s: %s → %s", c.Key, show(c.From), show(c.To))
}

// Changes returns what has to change to get from one configuration to another, both checked. Services are told apart by name and port.
func Changes(from, to *Document) (all []Change) {
	for _, f := range leaves {
		if !reflect.DeepEqual(f.value(&from.Config).Interface(), f.value(&to.Config).Interface()) {
			all = append(all, Change{Key: f.key, From: from.set[f.key].text, To: to.set[f.key].text, Live: f.live})
		}
	}
	left := from.services()
	for _, name := range to.serviceOrder() {
		i := to.services()[name]
		j, ok := left[name]
		if !ok {
			all = append(all, Change{Key: "service " + name, From: "not served", To: "served", Live: true})
			continue
		}
		delete(left, name)
		all = append(all, serviceChanges(name, from, j, to, i)...)
	}
	for _, name := range from.serviceOrder() {
		if _, gone := left[name]; gone {
			all = append(all, Change{Key: "service " + name, From: "served", To: "not served", Live: true})
		}
	}
	return all
}

// ID names a service: two that have the same are the same, changed.
func (s *Service) ID() string {
	if len(s.To) > 0 && !s.To[0].Kernel {
		return fmt.Sprintf("%s:%d through the stack", s.Name, s.Port) // which cannot become one to the kernel's sockets
	}
	return fmt.Sprintf("%s:%d", s.Name, s.Port)
}

func (d *Document) services() map[string]int {
	m := make(map[string]int)
	for i := range d.Config.Service {
		m[d.Config.Service[i].ID()] = i
	}
	return m
}

func (d *Document) serviceOrder() (names []string) {
	for i := range d.Config.Service {
		names = append(names, d.Config.Service[i].ID())
	}
	return names
}

func serviceChanges(name string, from *Document, j int, to *Document, i int) (all []Change) {
	for _, f := range serviceLeaves {
		a, b := f.value(&from.Config.Service[j]), f.value(&to.Config.Service[i])
		if !reflect.DeepEqual(a.Interface(), b.Interface()) {
			all = append(all, Change{
				Key: "service " + name + " " + f.key, From: from.set[serviceKey(j)+"."+f.key].text,
				To: to.set[serviceKey(i)+"."+f.key].text, Live: f.live,
			})
		}
	}
	return all
}
