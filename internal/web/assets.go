package web

import (
	"crypto/sha256"
	"embed"
	"fmt"
	"net/http"
	"path"
	"strings"
)

//go:embed assets/*.css assets/*.js assets/*.svg
var assetFiles embed.FS

// An asset is a file of the pages. Its path contains a digest of its content, so browsers may cache it for ever.
type asset struct {
	address     string
	contentType string
	body        []byte
}

var assets = loadAssets() // by name

// contentTypes are fixed here because those of package mime depend on the host.
var contentTypes = map[string]string{
	".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}

func loadAssets() map[string]*asset {
	entries, err := assetFiles.ReadDir("assets")
	if err != nil {
		panic(err) // they are in the binary
	}
	all := make(map[string]*asset, len(entries))
	for _, entry := range entries {
		body, err := assetFiles.ReadFile("assets/" + entry.Name())
		if err != nil {
			panic(err)
		}
		extension, sum := path.Ext(entry.Name()), sha256.Sum256(body)
		all[entry.Name()] = &asset{
			address:     fmt.Sprintf("/assets/%s.%x%s", strings.TrimSuffix(entry.Name(), extension), sum[:6], extension),
			contentType: contentTypes[extension],
			body:        body,
		}
	}
	return all
}

func routeAssets(mux *http.ServeMux) {
	for _, a := range assets {
		mux.HandleFunc("GET "+a.address, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", a.contentType)
			w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
			_, _ = w.Write(a.body)
		})
	}
}
