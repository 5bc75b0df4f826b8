// Viewer request, /api: CloudFront signs the request to the function URL and takes the Authorization header for that, so the
// client's own travels under another name. One that the client sent under that name is not believed.
function handler(event) {
    var headers = event.request.headers;
    delete headers['x-forwarded-authorization'];
    if (headers.authorization) {
        headers['x-forwarded-authorization'] = { value: headers.authorization.value };
    }
    return event.request;
}
