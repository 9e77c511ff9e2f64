package main

import (
	"errors"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/xdpstack/xdpstack/internal/config"
)

// serveSource is where serve has its configuration from: the command line, and a file if there is one.
type serveSource struct {
	cmd   *cobra.Command
	file  string   // "": none
	names []string // services on the command line, which replace those of the file
	flags []givenFlag
}

// givenFlag is a flag on the command line.
type givenFlag struct {
	name   string
	values []string
}

// note remembers what the command line has, before the file's settings are added to the flags.
func (s *serveSource) note(cmd *cobra.Command, names []string) {
	s.cmd, s.names = cmd, names
	cmd.Flags().Visit(func(f *pflag.Flag) {
		values := []string{f.Value.String()}
		if list, ok := f.Value.(pflag.SliceValue); ok {
			values = list.GetSlice()
		}
		s.flags = append(s.flags, givenFlag{f.Name, values})
	})
}

// read reads the file and lets the command line win over it. It can be called again later.
func (s *serveSource) read() (d *config.Document, err error) {
	d = config.New()
	if s.file != "" {
		if d, err = config.Load(s.file); err != nil {
			return nil, err
		}
	}
	if len(s.names) > 0 {
		d.Serve(s.names...)
	}
	for _, f := range s.flags {
		if d.Override(f.name, f.values...) || !config.ServiceFlag(f.name) {
			continue
		}
		if err := overrideService(d, f); err != nil {
			return nil, err
		}
	}
	if err := d.Check(); err != nil {
		var p config.Problems
		if errors.As(err, &p) && p.OfFlags() {
			return nil, usageError{err}
		}
		return nil, err
	}
	return d, nil
}

// overrideService gives a service what its flag says. It must be clear which is meant.
func overrideService(d *config.Document, f givenFlag) error {
	all := d.Config.Service
	if f.name == "port" {
		if len(all) > 1 {
			return usagef("--port is for one service, and there are %d", len(all))
		}
		if len(all) == 1 {
			d.OverrideService(0, f.name, f.values...)
		}
		return nil
	}
	one := -1
	for i := range all {
		switch {
		case all[i].Name != "http":
		case one >= 0:
			return usagef("--%s is for one service, and the file has several http: change it there", f.name)
		default:
			one = i
		}
	}
	if one < 0 && len(all) > 0 {
		return usagef("--%s belongs to the service http", f.name)
	}
	if one >= 0 {
		d.OverrideService(one, f.name, f.values...)
	}
	return nil
}

// fill gives the flags that the command line does not have what the file says.
func (s *serveSource) fill(d *config.Document) error {
	var errs []error
	d.EachInFile(func(flag, text string) {
		if err := s.cmd.Flags().Set(flag, text); err != nil {
			errs = append(errs, err) // a flag that takes less than its key
		}
	})
	return errors.Join(errs...)
}
