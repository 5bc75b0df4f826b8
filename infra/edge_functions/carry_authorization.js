// Viewer request, /api: CloudFront signs the request to the function URL and takes the Authorization header for that, so the
// client's own travels under another name. One that the client sent under that name is not believed. Under its first name it is
// taken away: CloudFront would replace it anyway, and a long token twice would not fit the 20 KB that a request may have.
function handler(event) {
    var headers = event.request.headers;
    delete headers['x-forwarded-authorization'];
    if (headers.authorization) {
        headers['x-forwarded-authorization'] = { value: headers.authorization.value };
        delete headers.authorization;
    }
    return event.request;
}
