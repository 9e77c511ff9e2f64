package web

import (
	"bytes"
	"embed"
	"net/http"
	"strings"
	"time"
)

//go:embed assets
var assets embed.FS

// pages are the files of the dashboard by path.
var pages = map[string]string{
	"/{$}":           "assets/index.html",
	"/dashboard.css": "assets/dashboard.css",
	"/dashboard.js":  "assets/dashboard.js",
	"/chart.js":      "assets/chart.js",
	"/icon.svg":      "assets/icon.svg",
}

// page answers with a file of the dashboard.
func page(w http.ResponseWriter, r *http.Request) {
	name := pages[strings.TrimPrefix(r.Pattern, "GET ")]
	body, err := assets.ReadFile(name)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(body))
}
