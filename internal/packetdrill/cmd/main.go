// Command cmd plays folders of packet scripts on this TCP with the original packetdrill program, and prints a table of what passed:
//
//	go run ./internal/packetdrill/cmd -packetdrill /usr/bin/packetdrill -scripts DIR
//
// It builds the library that the program loads, unless -lib names one.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	failed, err := run(ctx, os.Args[1:], os.Stdout)
	switch {
	case errors.Is(err, flag.ErrHelp):
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, "packetdrill:", err)
		os.Exit(2)
	case failed:
		os.Exit(1)
	}
}

// run does what the arguments say, and reports whether a script failed.
func run(ctx context.Context, args []string, out io.Writer) (failed bool, err error) {
	var p player
	fs := flag.NewFlagSet("packetdrill", flag.ContinueOnError)
	fs.StringVar(&p.program, "packetdrill", "packetdrill", "the packetdrill program")
	scripts := fs.String("scripts", "", "a script, or a folder of them with those below it")
	fs.StringVar(&p.lib, "lib", "", "the library to load; by default it is built")
	fs.StringVar(&p.flags, "flags", "", "flags for the library: name=value,…; see package packetdrill")
	fs.DurationVar(&p.tolerance, "tolerance", 15*time.Millisecond, "how early or late a packet may be")
	fs.DurationVar(&p.timeout, "timeout", time.Minute, "how long a script may take")
	asJSON := fs.Bool("json", false, "print JSON")
	if err := fs.Parse(args); err != nil {
		return false, err
	}
	if *scripts == "" || fs.NArg() != 0 {
		return false, errors.New("-scripts must name a script or a folder, and nothing else can be given")
	}
	if p.program, err = exec.LookPath(p.program); err != nil {
		return false, fmt.Errorf("%w: build it from github.com/google/packetdrill and name it with -packetdrill", err)
	}
	files, err := findScripts(*scripts)
	if err != nil {
		return false, err
	}
	dir, err := os.MkdirTemp("", "packetdrill-")
	if err != nil {
		return false, err
	}
	defer func() { _ = os.RemoveAll(dir) }() // a folder of temporary files
	p.dir = dir
	if p.lib == "" {
		p.lib = filepath.Join(dir, "libxdpstack.so")
		if err := build(ctx, p.lib); err != nil {
			return false, err
		}
	}
	results := p.playAll(ctx, files)
	if *asJSON {
		e := json.NewEncoder(out)
		e.SetIndent("", "\t")
		err = e.Encode(results)
	} else {
		err = printTable(out, results)
	}
	for _, r := range results {
		failed = failed || r.Result == fail
	}
	return failed, err
}

// build makes the library. It must be run inside the module.
func build(ctx context.Context, file string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-tags", "packetdrill", "-buildmode=c-shared", "-o", file,
		"github.com/xdpstack/xdpstack/internal/packetdrill/lib")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building the library (it needs a C compiler: packages gcc and libc6-dev): %w\n%s", err, out)
	}
	return nil
}
