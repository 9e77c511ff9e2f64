package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"

	"github.com/xdpstack/xdpstack/bench/internal/compare"
	"github.com/xdpstack/xdpstack/bench/internal/result"
	"github.com/xdpstack/xdpstack/bench/internal/show"
)

// Exit codes of compare.
const (
	exitFine       = 0
	exitRegression = 1 // with -fail-on-regression: our side became worse somewhere, beyond noise
	exitError      = 2
)

// runCompare is "bench compare BEFORE.json AFTER.json".
func runCompare(w, errs io.Writer, args []string) int {
	worse, err := compareFiles(w, errs, args)
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(errs, "bench compare:", err)
		return exitError
	case worse:
		return exitRegression
	}
	return exitFine
}

func compareFiles(w, usage io.Writer, args []string) (worse bool, err error) {
	fs := flag.NewFlagSet("bench compare [flags] BEFORE.json AFTER.json", flag.ContinueOnError)
	fs.SetOutput(usage)
	o := compare.Options{}
	fs.Float64Var(&o.Alpha, "alpha", 0.05, "call a change what chance would make less often than this")
	fs.Float64Var(&o.Min, "min", 0.03, "the least change that is worth a word, as a part of one")
	asJSON := fs.Bool("json", false, "print JSON")
	fail := fs.Bool("fail-on-regression", false, "exit with 1 if our side became worse somewhere, beyond noise; errors exit with 2 anyway")
	if err := fs.Parse(args); err != nil {
		return false, err
	}
	if fs.NArg() != 2 {
		return false, errors.New("two reports are needed: bench compare BEFORE.json AFTER.json, flags first")
	}
	before, err := result.Read(fs.Arg(0))
	if err != nil {
		return false, err
	}
	after, err := result.Read(fs.Arg(1))
	if err != nil {
		return false, err
	}
	rows := compare.Reports(before, after, o)
	if *asJSON {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		if err := e.Encode(rows); err != nil {
			return false, fmt.Errorf("print JSON: %w", err)
		}
	} else {
		show.Comparison(w, before, after, rows, o)
	}
	return *fail && compare.Regressions(rows) > 0, nil
}
