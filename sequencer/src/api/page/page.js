// Shows openapi.json of this listener and sends requests to it. No markup is made of strings, and nothing is kept: the token
// is in its field alone.
"use strict";

const at = (id) => document.getElementById(id);
const make = (tag, text, ...inside) => {
  const element = document.createElement(tag);
  if (text) element.textContent = text;
  element.append(...inside);
  return element;
};
const headers = () => (at("token").value ? { authorization: `Bearer ${at("token").value}` } : {});

let whole = {};
// What a reference leads to.
const found = (thing) => (thing?.$ref ?? "#").split("/").slice(1).reduce((at, name) => at?.[name], thing?.$ref ? whole : thing);

// The first example of a body or answer, as text.
const example = (content) => {
  const [media, described] = Object.entries(content ?? {})[0] ?? [];
  if (!media) return null;
  const value = described.example ?? found(Object.values(described.examples ?? {})[0])?.value;
  const text = typeof value === "string" ? value : value === undefined ? "" : JSON.stringify(value, null, 1);
  return { media, text };
};

// Sends a request and shows what comes, as it comes: a stream of events has no end.
const send = async (method, path, fields, body, shown) => {
  const query = new URLSearchParams();
  let url = path;
  for (const { parameter, input } of fields) {
    if (parameter.in === "path") url = url.replace(`{${parameter.name}}`, encodeURIComponent(input.value));
    else if (parameter.in === "query" && input.value) query.set(parameter.name, input.value);
  }
  const sent = headers();
  for (const { parameter, input } of fields) if (parameter.in === "header" && input.value) sent[parameter.name] = input.value;
  if (body) sent["content-type"] = body.media;
  if (query.size) url += `?${query}`;
  shown.textContent = `${method} ${url}\n…`;
  const stop = new AbortController();
  shown.stop?.abort();
  shown.stop = stop;
  try {
    const answer = await fetch(url, { method, headers: sent, body: body?.area.value, signal: stop.signal });
    shown.textContent = `${method} ${url}\n${answer.status} ${answer.headers.get("content-type") ?? ""}\n`;
    const reader = answer.body?.pipeThrough(new TextDecoderStream()).getReader();
    let whole = "";
    for (let part = await reader?.read(); part && !part.done; part = await reader.read()) {
      whole += part.value;
      shown.append(part.value);
    }
    if (/json/.test(answer.headers.get("content-type") ?? "")) {
      shown.textContent = shown.textContent.slice(0, -whole.length) + JSON.stringify(JSON.parse(whole), null, 1);
    }
  } catch (error) {
    if (error.name !== "AbortError") shown.append(`\nno answer: ${error.message}`);
  }
};

const operation = (method, path, described) => {
  const box = make("details", "", make("summary", "", make("b", method), make("code", path), ` ${described.summary ?? ""}`));
  box.dataset.path = path;
  if (described.description) box.append(make("p", described.description));
  const fields = (described.parameters ?? []).map((parameter) => {
    const input = make("input");
    box.append(make("label", `${parameter.name} (${parameter.in}) `, input, make("span", ` ${parameter.description ?? ""}`)));
    return { parameter, input };
  });
  const asked = example(described.requestBody?.content);
  const body = asked && { media: asked.media, area: make("textarea") };
  if (body) {
    body.area.value = asked.text;
    box.append(make("label", body.media, body.area));
  }
  const shown = make("pre");
  const [button, end] = [make("button", "Send"), make("button", "Stop")];
  button.onclick = () => send(method, path, fields, body, shown);
  end.onclick = () => shown.stop?.abort();
  const rows = Object.entries(described.responses ?? {}).map(([status, response]) => {
    const answered = example(response.content);
    return make("tr", "", make("td", status), make("td", response.description, make("pre", answered?.text ?? "")));
  });
  box.append(make("p", "", button, " ", end), shown, make("table", "", ...rows));
  return box;
};

const read = async () => {
  const answer = await fetch("openapi.json", { headers: headers() });
  if (answer.status === 401) {
    at("access").hidden = false;
    at("about").textContent = "This listener asks for its token.";
    return;
  }
  if (!answer.ok) throw new Error(`status ${answer.status}`);
  whole = await answer.json();
  const { info, paths } = whole;
  at("about").textContent = info.description;
  const here = location.pathname.startsWith("/admin/");
  const all = Object.entries(paths).filter(([path]) => !here || path.startsWith("/admin/"));
  const boxes = all.flatMap(([path, item]) => Object.entries(item).map(([method, one]) => operation(method.toUpperCase(), path, one)));
  at("operations").replaceChildren(...boxes);
};

const failed = (error) => { at("about").textContent = `The description could not be read: ${error.message}`; };
at("read").onclick = () => read().catch(failed);
at("filter").oninput = () => {
  for (const box of at("operations").children) box.hidden = !box.dataset.path.includes(at("filter").value);
};
read().catch(failed);
