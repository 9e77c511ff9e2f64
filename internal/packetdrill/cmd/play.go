package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// verdict is what came of a script.
type verdict string

const (
	pass verdict = "pass"
	fail verdict = "fail"
	skip verdict = "skip" // it cannot be played this way
)

// result is what came of a script, and why.
type result struct {
	Script  string  `json:"script"`
	Result  verdict `json:"result"`
	Seconds float64 `json:"seconds"`
	Message string  `json:"message,omitempty"`
}

// player plays scripts.
type player struct {
	program, lib, flags string
	dir                 string // for changed scripts
	tolerance, timeout  time.Duration
}

// findScripts returns the scripts that a path names: a file, or every .pkt file below a folder.
func findScripts(path string) ([]string, error) {
	var files []string
	err := filepath.WalkDir(path, func(p string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && (filepath.Ext(p) == ".pkt" || p == path) {
			files = append(files, p)
		}
		return err
	})
	if err == nil && len(files) == 0 {
		err = fmt.Errorf("no .pkt file in %s", path)
	}
	return files, err
}

// playAll plays scripts one after the other: their times are real, and those of two at once would disturb each other.
func (p *player) playAll(ctx context.Context, files []string) []result {
	results := make([]result, 0, len(files))
	for _, f := range files {
		if ctx.Err() != nil {
			break
		}
		results = append(results, p.play(ctx, f))
	}
	return results
}

// play plays a script.
func (p *player) play(ctx context.Context, file string) result {
	r := result{Script: file}
	src, err := os.ReadFile(file)
	if err != nil {
		r.Result, r.Message = fail, err.Error()
		return r
	}
	text, why := prepare(string(src))
	if why != "" {
		r.Result, r.Message = skip, why
		return r
	}
	if text != string(src) {
		file = filepath.Join(p.dir, filepath.Base(file))
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			r.Result, r.Message = fail, err.Error()
			return r
		}
	}
	args := []string{"--so_filename=" + p.lib, fmt.Sprintf("--tolerance_usecs=%d", p.tolerance.Microseconds())}
	if p.flags != "" {
		args = append(args, "--so_flags="+p.flags)
	}
	bounded, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	cmd := exec.CommandContext(bounded, p.program, append(args, file)...)
	cmd.WaitDelay = time.Second
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	start := time.Now()
	err = cmd.Run()
	r.Seconds = time.Since(start).Seconds()
	switch {
	case err == nil:
		r.Result = pass
		return r
	case errors.Is(bounded.Err(), context.DeadlineExceeded):
		r.Message = fmt.Sprintf("still running after %v", p.timeout)
	default:
		r.Message = strings.TrimSpace(out.String())
	}
	if r.Message == "" {
		r.Message = err.Error()
	}
	r.Result = fail
	return r
}

var (
	shell = regexp.MustCompile("(?s)([-+0-9.~*]*)[ \t]*`[^`]*`")
	now   = regexp.MustCompile(`^(\+?0*(\.0*)?)?$`)
)

// prepare takes the shell commands out of a script: they set what the kernel does, which is not what is tested here, and a script
// from elsewhere should not. It says why a script cannot be played at all.
func prepare(src string) (text, why string) {
	code := withoutComments(src)
	switch {
	case strings.Contains(code, "%{"):
		return "", "asserts on what the local kernel says (%{ }%)"
	case strings.Contains(code, "--ip_version=ipv6"):
		return "", "IPv6"
	}
	for _, m := range shell.FindAllStringSubmatch(code, -1) {
		if !now.MatchString(m[1]) {
			return "", "a shell command takes time: " + strings.TrimSpace(m[0])
		}
	}
	if !strings.Contains(code, "`") {
		return src, ""
	}
	return shell.ReplaceAllStringFunc(code, func(m string) string { return strings.Repeat("\n", strings.Count(m, "\n")) }), ""
}

var comment = regexp.MustCompile(`(?s)//[^\n]*|/\*.*?\*/|(?m:^[ \t]*#[^\n]*)`)

// withoutComments blanks the comments of a script; the lines keep their numbers.
func withoutComments(src string) string {
	return comment.ReplaceAllStringFunc(src, func(c string) string { return strings.Repeat("\n", strings.Count(c, "\n")) })
}
