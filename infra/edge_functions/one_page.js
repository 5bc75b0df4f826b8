// Viewer request, the site: a path without a file's extension is a route of the web client, which is one page. An error response
// would do as well, but it would belong to the whole distribution and turn the API's 404s into pages.
function handler(event) {
    var request = event.request;
    if (request.uri.slice(request.uri.lastIndexOf('/')).indexOf('.') === -1) {
        request.uri = '/index.html';
    }
    return request;
}
