package control

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"
)

// Process is a running process that has a control socket.
type Process struct {
	Info
	Path string `json:"path"`
}

// maxAnswer bounds an answer in bytes: a socket at a path that the user typed may be anybody's.
const maxAnswer = 64 << 20

// maxError bounds what is shown of an error.
const maxError = 64 << 10

// List returns the running processes in Dir by pid, and removes the sockets that dead ones left behind. A process that does not
// answer within a second is listed without its command.
func List() ([]Process, error) {
	found, err := sockets()
	if err != nil {
		return nil, err
	}
	all := make([]Process, 0, len(found))
	for pid, path := range found {
		if abandoned(path) {
			_ = os.Remove(path) // somebody else may have done so
			continue
		}
		p := Process{Info: Info{PID: pid}, Path: path}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		_ = Client{path}.Get(ctx, "/info", &p.Info) // else the pid from the name remains
		cancel()
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b Process) int { return cmp.Compare(a.PID, b.PID) })
	return all, nil
}

// Client asks the process whose control socket is at Path.
type Client struct{ Path string }

// Get asks for what, a path such as "/stats", and puts the answer into v, as json.Unmarshal does. v may be a *json.RawMessage.
func (c Client) Get(ctx context.Context, what string, v any) error {
	return c.ask(ctx, http.MethodGet, what, nil, v)
}

// Post sends in, as JSON, and puts the answer into out, unless that is nil.
func (c Client) Post(ctx context.Context, what string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("control: %w", err)
	}
	return c.ask(ctx, http.MethodPost, what, body, out)
}

// Stream asks for what goes on until ctx is done, or the process ends. The caller closes what it returns.
func (c Client) Stream(ctx context.Context, what string) (io.ReadCloser, error) {
	return c.do(ctx, http.MethodGet, what, nil)
}

func (c Client) ask(ctx context.Context, method, what string, in []byte, out any) error {
	r, err := c.do(ctx, method, what, in)
	if err != nil {
		return err
	}
	defer r.Close()
	body, err := io.ReadAll(io.LimitReader(r, maxAnswer))
	switch {
	case err != nil:
		return fmt.Errorf("control: %s: %w", c.Path, err)
	case out == nil:
		return nil
	case !json.Valid(body):
		return fmt.Errorf("control: %s: the answer is not JSON: is it an xdpstack process?", c.Path)
	}
	if err := json.Unmarshal(body, out); err != nil {
		return fmt.Errorf("control: %s: the answer is of another version of xdpstack: %w", c.Path, err)
	}
	return nil
}

// do returns the body of an answer.
func (c Client) do(ctx context.Context, method, what string, in []byte) (io.ReadCloser, error) {
	var dialer net.Dialer
	transport := &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "unix", c.Path)
		},
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://xdpstack"+what, bytes.NewReader(in))
	if err != nil {
		return nil, fmt.Errorf("control: %w", err)
	}
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("control: no process has its control socket at %s: %w", c.Path, err)
		}
		return nil, fmt.Errorf("control: %w", err)
	}
	if resp.StatusCode == http.StatusOK {
		return resp.Body, nil
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxError))
	if err != nil {
		return nil, fmt.Errorf("control: %s: %w", c.Path, err)
	}
	answer := Error{Message: strings.TrimSpace(string(body))}
	_ = json.Unmarshal(body, &answer) // what net/http says itself is text
	answer.Status = resp.StatusCode
	return nil, fmt.Errorf("control: %s: the process answered: %w", c.Path, answer)
}
