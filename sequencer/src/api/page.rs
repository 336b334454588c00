//! A page to read the API on and to try it: three small files, of our own. It loads nothing from elsewhere, and the browser
//! is told to let it load nothing. It holds no secret: on the admin listener, too, it is the requests that need the token.

use std::sync::Arc;

use axum::{
    http::{HeaderName, HeaderValue, header},
    response::{IntoResponse, Response},
};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::service::Service;

/// Scripts, styles and requests of this server alone; no markup from strings.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'";

fn file(media: &'static str, text: &'static str) -> Response {
    let fixed = |name: HeaderName, value: &'static str| (name, HeaderValue::from_static(value));
    let headers = [
        fixed(header::CONTENT_TYPE, media),
        fixed(header::CONTENT_SECURITY_POLICY, POLICY),
        fixed(header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        fixed(header::REFERRER_POLICY, "no-referrer"),
        fixed(header::CACHE_CONTROL, "max-age=300"),
    ];
    (headers, text).into_response()
}

fn html() -> Response {
    file("text/html; charset=utf-8", include_str!("page/page.html"))
}

fn script() -> Response {
    file("text/javascript; charset=utf-8", include_str!("page/page.js"))
}

fn style() -> Response {
    file("text/css; charset=utf-8", include_str!("page/page.css"))
}

/// Routes of the public listener.
pub(crate) fn routes() -> OpenApiRouter<Arc<Service>> {
    OpenApiRouter::new().routes(routes!(docs)).routes(routes!(docs_script)).routes(routes!(docs_style))
}

/// Routes of the admin listener, before its token.
pub(crate) fn own_routes() -> OpenApiRouter<Arc<Service>> {
    OpenApiRouter::new().routes(routes!(own_docs)).routes(routes!(own_docs_script)).routes(routes!(own_docs_style))
}

/// A page to try the API
#[utoipa::path(get, path = "/v1/docs", tag = "public", responses((status = 200, description = "The page", content_type = "text/html", body = String)))]
async fn docs() -> Response {
    html()
}

/// The page's script
#[utoipa::path(get, path = "/v1/docs.js", tag = "public", responses((status = 200, description = "Script", content_type = "text/javascript", body = String)))]
async fn docs_script() -> Response {
    script()
}

/// The page's style
#[utoipa::path(get, path = "/v1/docs.css", tag = "public", responses((status = 200, description = "Style", content_type = "text/css", body = String)))]
async fn docs_style() -> Response {
    style()
}

/// A page to try the API; its requests need the token
#[utoipa::path(get, path = "/admin/v1/docs", tag = "admin", security(()), responses((status = 200, description = "The page", content_type = "text/html", body = String)))]
async fn own_docs() -> Response {
    html()
}

/// The page's script
#[utoipa::path(get, path = "/admin/v1/docs.js", tag = "admin", security(()), responses((status = 200, description = "Script", content_type = "text/javascript", body = String)))]
async fn own_docs_script() -> Response {
    script()
}

/// The page's style
#[utoipa::path(get, path = "/admin/v1/docs.css", tag = "admin", security(()), responses((status = 200, description = "Style", content_type = "text/css", body = String)))]
async fn own_docs_style() -> Response {
    style()
}
