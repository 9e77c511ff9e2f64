package http1

import (
	"net/url"
	"path"
	"strings"
)

// Path returns the path that a target (origin-form or absolute-form, RFC 9112 section 3.2) names, decoded and cleaned: it starts
// with a slash, has no empty, "." or ".." element and no NUL, and ends in a slash only if the target's does. It reports false for a
// target that names none.
func Path(target []byte) (string, bool) {
	t := string(target)
	if !strings.HasPrefix(t, "/") {
		u, err := url.Parse(t)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			return "", false
		}
		if t = u.EscapedPath(); t == "" {
			t = "/"
		}
	}
	t, _, _ = strings.Cut(t, "?")
	t, _, _ = strings.Cut(t, "#")
	p, err := url.PathUnescape(t)
	if err != nil || !strings.HasPrefix(p, "/") || strings.IndexByte(p, 0) >= 0 {
		return "", false
	}
	clean := path.Clean(p)
	if strings.HasSuffix(p, "/") && clean != "/" {
		clean += "/"
	}
	return clean, true
}
