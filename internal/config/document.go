package config

import (
	"fmt"
	"os"
	"slices"
	"strings"
)

// Document is a configuration, and where each part of it was set.
type Document struct {
	Config Config

	file     string // "": there is none
	set      map[string]origin
	problems Problems
	broken   bool // the file is no TOML: nothing was read from it
}

// origin is where a key was set.
type origin struct {
	line, column int    // in the file,
	flag         string // or by this flag
	text         string // as it was written
}

// maxFile bounds a configuration file, in bytes.
const maxFile = 1 << 20

// New returns a configuration that nothing is set in: that of a command line without a file.
func New() *Document { return &Document{set: make(map[string]origin)} }

// Load reads a file. What is wrong with its content, Check says.
func Load(path string) (*Document, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("the configuration: %w", err)
	}
	if !st.Mode().IsRegular() || st.Size() > maxFile {
		return nil, fmt.Errorf("the configuration: %s is no file of up to %d bytes", path, maxFile)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("the configuration: %w", err)
	}
	return Parse(path, text), nil
}

// Override sets what a flag stands for, which wins over the file. Lists have any number of values, all else one. It reports false if no key
// belongs to a flag of that name.
func (d *Document) Override(flag string, values ...string) bool {
	for _, f := range leaves {
		if f.flag == flag {
			d.override(f, f.key, f.value(&d.Config), flag, values)
			return true
		}
	}
	return false
}

// OverrideService does the same for a flag that belongs to a service, the i-th.
func (d *Document) OverrideService(i int, flag string, values ...string) bool {
	for _, f := range serviceLeaves {
		if f.flag == flag {
			d.override(f, serviceKey(i)+"."+f.key, f.value(&d.Config.Service[i]), flag, values)
			return true
		}
	}
	return false
}

// ServiceFlag reports whether a flag belongs to a service.
func ServiceFlag(flag string) bool {
	return slices.ContainsFunc(serviceLeaves, func(f leaf) bool { return f.flag == flag })
}

// EachInFile calls f for each flag whose key the file sets, unless the flag itself was given, with the value as it is written; lists have
// commas between. Those of services are left out.
func (d *Document) EachInFile(f func(flag, text string)) {
	for _, l := range leaves {
		if o, ok := d.set[l.key]; ok && o.flag == "" && l.flag != "" && o.text != "" {
			f(l.flag, o.text)
		}
	}
}

// Serve replaces the services of the file by others, given by name.
func (d *Document) Serve(names ...string) {
	for key := range d.set {
		if strings.HasPrefix(key, "service[") {
			delete(d.set, key)
		}
	}
	d.Config.Service = nil
	for i, name := range names {
		d.Config.Service = append(d.Config.Service, Service{Name: name})
		d.set[serviceKey(i)+".name"] = origin{text: name}
	}
}

func serviceKey(i int) string { return fmt.Sprintf("service[%d]", i) }

// problem notes one about a key, which may not be set.
func (d *Document) problem(key, format string, args ...any) {
	o, ok := d.set[key]
	p := Problem{Key: key, Text: fmt.Sprintf(format, args...)}
	switch {
	case ok && o.flag != "":
		p.Flag = "--" + o.flag
		if o.text != "" {
			p.Flag += " " + o.text
		}
	case ok && o.line > 0:
		p.File, p.Line, p.Column = d.file, o.line, o.column
	case ok: // on the command line, without a flag
	default:
		p.File = d.file
	}
	d.problems = append(d.problems, p)
}

// sound reports whether there is no problem with a key yet.
func (d *Document) sound(key string) bool {
	for _, p := range d.problems {
		if p.Key == key {
			return false
		}
	}
	return true
}
