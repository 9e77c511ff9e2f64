package vm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// CacheVariable names the environment variable that says where the cache is, in place of the user's cache directory.
const CacheVariable = "XDPSTACK_CACHE"

// cache is the directory with what was fetched and made.
type cache string

func openCache() (cache, error) {
	dir := os.Getenv(CacheVariable)
	if dir == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return "", unavailable("no place for the guest's kernel: %w: set %s", err, CacheVariable)
		}
		dir = filepath.Join(user, "xdpstack")
	}
	dir, err := filepath.Abs(filepath.Join(dir, "guest"))
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", unavailable("cache: %w: set %s to a directory that can be written", err, CacheVariable)
	}
	return cache(dir), nil
}

func (c cache) path(name string) string { return filepath.Join(string(c), name) }

// locked runs f while no other process has the cache's lock, and waits for it until ctx is done. The lock goes with the process.
func (c cache) locked(ctx context.Context, f func() error) error {
	file, err := os.OpenFile(c.path("lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return fmt.Errorf("vm: cache: %w", err)
	}
	defer file.Close()
	for {
		err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return f()
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("vm: lock %s: %w", file.Name(), err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("vm: another process prepares the guest in %s: %w", string(c), ctx.Err())
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// once makes the directory name, unless it is there already and whole. What f leaves half done is never taken for it: f works in
// another directory, which is renamed.
func (c cache) once(name string, f func(dir string) error) (string, error) {
	dir := c.path(name)
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	work := dir + ".part"
	if err := os.RemoveAll(work); err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(work) }() // the next attempt does it again
	if err := os.MkdirAll(work, 0o755); err != nil {
		return "", err
	}
	if err := f(work); err != nil {
		return "", err
	}
	return dir, os.Rename(work, dir)
}
