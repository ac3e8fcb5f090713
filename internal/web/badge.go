package web

// /badge/{service}.svg is a picture of 20 pixels' height with the service's name and its cause in words, for a wiki or a
// README. It is image/svg+xml and not to be cached. A service that is not watched has a grey one, with status 404.
