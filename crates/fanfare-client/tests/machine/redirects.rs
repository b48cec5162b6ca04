use fanfare_client::{Error, EventSource, Item, RedirectError};
use http::Method;

use crate::support::{Virtual, builder, header};

fn redirected(machine: &mut Virtual, status: u16, location: &str) {
    machine.answer(status, &[("location", location)]);
}

#[test]
fn it_goes_where_a_redirect_leads_and_asks_the_first_url_again_later() {
    for status in [301, 302, 303, 307, 308] {
        let mut machine = Virtual::new(builder());
        machine.request();
        redirected(&mut machine, status, "http://other.example:81/b");
        assert_eq!(machine.request().uri(), "http://other.example:81/b");
        machine.answer(200, &[("content-type", "text/event-stream")]);
        let Item::Opened(opened) = machine.item() else { panic!() };
        assert_eq!(opened.url.as_str(), "http://other.example:81/b");
        assert_eq!(machine.ask_again().uri(), "http://example.com/events");
    }
}

#[test]
fn a_location_is_relative_to_the_url_that_gave_it() {
    for (location, url) in [
        ("other", "http://example.com/a/other"),
        ("/other", "http://example.com/other"),
        ("?x", "http://example.com/a/b?x"),
        ("//host/x", "http://host/x"),
        ("  /trimmed ", "http://example.com/trimmed"),
        ("/ü", "http://example.com/%C3%BC"),
        ("https://host/x#fragment", "https://host/x"),
    ] {
        let mut machine = Virtual::new(EventSource::builder("http://example.com/a/b"));
        machine.request();
        redirected(&mut machine, 302, location);
        assert_eq!(machine.request().uri(), url, "{location}");
    }
}

#[test]
fn a_redirect_without_a_usable_location_is_the_end() {
    let mut machine = Virtual::new(builder());
    machine.request();
    machine.answer(301, &[]);
    let error = machine.last_error();
    assert!(matches!(error, Error::Redirect(RedirectError::NoLocation(status)) if status == 301));
    for location in ["", "ftp://a/", "http://", "http://a:b", "data:text/event-stream,x"] {
        let mut machine = Virtual::new(builder());
        machine.request();
        redirected(&mut machine, 307, location);
        assert!(matches!(machine.last_error(), Error::Redirect(_)), "{location}");
    }
}

#[test]
fn a_loop_of_redirects_has_an_end() {
    let mut machine = Virtual::new(builder());
    for _ in 0..=20 {
        machine.request();
        redirected(&mut machine, 302, "/");
    }
    assert!(matches!(machine.last_error(), Error::Redirect(RedirectError::TooMany(20))));

    let mut machine = Virtual::new(builder().max_redirects(0));
    machine.request();
    redirected(&mut machine, 302, "/");
    assert!(matches!(machine.last_error(), Error::Redirect(RedirectError::TooMany(0))));
}

#[test]
fn the_bound_on_redirects_is_for_each_attempt() {
    let mut machine = Virtual::new(builder().max_redirects(1));
    machine.request();
    for _ in 0..3 {
        redirected(&mut machine, 302, "/b");
        machine.request();
        machine.accept();
        machine.receive("data: a\n\n");
        machine.event();
        machine.ask_again();
    }
}

#[test]
fn credentials_stay_with_their_origin() {
    let with_secrets = || {
        builder()
            .header("authorization", "Bearer 1")
            .header("cookie", "a=b")
            .header("proxy-authorization", "Basic x")
            .header("x-custom", "c")
    };
    for (location, is_other) in [
        ("http://example.com/b", false),
        ("http://EXAMPLE.com:80/b", false),
        ("http://example.com:81/b", true),
        ("https://example.com/b", true),
        ("http://sub.example.com/b", true),
    ] {
        let mut machine = Virtual::new(with_secrets());
        machine.request();
        redirected(&mut machine, 307, location);
        let request = machine.request();
        for name in ["authorization", "cookie", "proxy-authorization"] {
            assert_eq!(header(&request, name).is_none(), is_other, "{name} to {location}");
        }
        assert_eq!(header(&request, "x-custom").unwrap(), b"c");
        machine.accept();
        machine.receive("data: a\n\n");
        machine.event();
        assert!(header(&machine.ask_again(), "authorization").is_some(), "back at the first URL");
    }
}

#[test]
fn credentials_that_were_dropped_do_not_come_back_within_one_chain() {
    let mut machine = Virtual::new(EventSource::builder("http://a:b@example.com/"));
    assert!(header(&machine.request(), "authorization").is_some());
    redirected(&mut machine, 302, "http://other.example/");
    assert_eq!(header(&machine.request(), "authorization"), None);
    redirected(&mut machine, 302, "http://example.com/");
    assert_eq!(header(&machine.request(), "authorization"), None);
}

#[test]
fn methods_and_bodies_change_as_fetch_has_it() {
    let cases = [
        (301, Method::POST, Method::GET),
        (302, Method::POST, Method::GET),
        (303, Method::POST, Method::GET),
        (307, Method::POST, Method::POST),
        (308, Method::POST, Method::POST),
        (301, Method::PUT, Method::PUT),
        (302, Method::PUT, Method::PUT),
        (303, Method::PUT, Method::GET),
        (303, Method::HEAD, Method::HEAD),
    ];
    for (status, before, after) in cases {
        let builder = builder()
            .method(before.clone())
            .header("content-type", "application/json")
            .header("x-custom", "c")
            .body("{}");
        let mut machine = Virtual::new(builder);
        machine.request();
        redirected(&mut machine, status, "/b");
        let request = machine.request();
        let keeps_body = before == after;
        assert_eq!(request.method(), after, "{before} after {status}");
        assert_eq!(!request.body().is_empty(), keeps_body, "{before} after {status}");
        assert_eq!(header(&request, "content-type").is_some(), keeps_body);
        assert!(header(&request, "x-custom").is_some());
    }
}

#[test]
fn a_redirect_keeps_the_last_event_id() {
    let mut stream = Virtual::open(builder());
    stream.receive("id: 7\ndata: a\n\n");
    stream.event();
    stream.ask_again();
    redirected(&mut stream, 307, "http://other.example/");
    assert_eq!(header(&stream.request(), "last-event-id").unwrap(), b"7");
}
